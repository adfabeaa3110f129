// k6: requests come at a constant rate, whether earlier ones were answered or not.
import http from "k6/http";

const targets = JSON.parse(open(__ENV.TARGETS));
const rate = Number(__ENV.RATE);

export const options = {
  discardResponseBodies: true,
  summaryTrendStats: ["p(50)", "p(99)", "p(99.9)", "max", "count"],
  scenarios: {
    load: {
      executor: "constant-arrival-rate",
      rate,
      timeUnit: "1s",
      duration: `${__ENV.SECONDS}s`,
      preAllocatedVUs: Math.min(Math.max(Math.ceil(rate / 2), 20), 400),
      maxVUs: 1000,
    },
  },
};

export default function load() {
  const target = targets.seats[Math.floor(Math.random() * targets.seats.length)];
  const headers = { Authorization: `Bearer ${target.token}`, "Content-Type": "application/json" };
  http.post(targets.url + target.path, targets.body, { headers });
}

export function handleSummary(data) {
  const values = (name) => (data.metrics[name] ? data.metrics[name].values : {});
  const took = values("http_req_duration");
  const figures = {
    p50_ms: took["p(50)"],
    p99_ms: took["p(99)"],
    p999_ms: took["p(99.9)"],
    max_ms: took.max,
    requests: took.count,
    failed: values("http_req_failed").passes || 0,
    dropped: values("dropped_iterations").count || 0,
  };
  return { stdout: JSON.stringify(figures) };
}
