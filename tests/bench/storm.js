// k6: people sign in at a constant rate, whether earlier ones were answered or not.
import http from "k6/http";

const targets = JSON.parse(open(__ENV.TARGETS));

export const options = {
  discardResponseBodies: true,
  scenarios: {
    storm: {
      executor: "constant-arrival-rate",
      rate: Number(__ENV.RATE),
      timeUnit: "1s",
      duration: `${__ENV.SECONDS}s`,
      preAllocatedVUs: 200,
      maxVUs: 1000,
    },
  },
};

const statuses = [200, 429, 503];
http.setResponseCallback(http.expectedStatuses(...statuses));

export default function signIn() {
  const name = targets.names[Math.floor(Math.random() * targets.names.length)];
  const body = JSON.stringify({ username: name, password: targets.password });
  http.post(`${targets.url}/auth/login`, body, { headers: { "Content-Type": "application/json" } });
}

export function handleSummary(data) {
  const values = (name) => (data.metrics[name] ? data.metrics[name].values : {});
  const figures = {
    requests: values("http_reqs").count,
    failed: values("http_req_failed").passes || 0,
    dropped: values("dropped_iterations").count || 0,
  };
  return { stdout: JSON.stringify(figures) };
}
