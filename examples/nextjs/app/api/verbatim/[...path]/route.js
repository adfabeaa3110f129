import { signedIn } from "../../../sign-in.js";

/** What the page may call of the server's: chats and conversations, nothing of the account. */
const ALLOWED = /^(chat|conversations)(\/|$)/;
const PASSED_ON = ["accept", "content-type", "idempotency-key", "if-last", "last-event-id"];
const PASSED_BACK = ["content-type", "retry-after"];

/** Pass a call of the page's on, with the key, for whoever is signed in. Answers are streamed. */
async function forward(request) {
  const user = await signedIn();
  if (user === null) return problem(401, "Not signed in");
  const { pathname, search } = new URL(request.url);
  const path = pathname.replace(/^\/api\/verbatim\/api\//, "");
  if (path === pathname || !ALLOWED.test(path)) return problem(404, "Not found");
  const headers = copied(request.headers, PASSED_ON);
  headers.set("Authorization", `Bearer ${process.env.VERBATIM_KEY}`);
  headers.set("Verbatim-User", Buffer.from(user).toString("latin1"));
  const answer = await fetch(`${process.env.VERBATIM_URL}/api/${path}${search}`, {
    method: request.method,
    headers,
    body: request.method === "GET" ? undefined : await request.arrayBuffer(),
    signal: request.signal,
    cache: "no-store",
  });
  return new Response(answer.body, { status: answer.status, headers: copied(answer.headers, PASSED_BACK) });
}

function copied(headers, names) {
  return new Headers(names.filter((name) => headers.has(name)).map((name) => [name, headers.get(name)]));
}

function problem(status, title) {
  return Response.json({ type: "about:blank", title, status }, { status, headers: { "content-type": "application/problem+json" } });
}

export { forward as DELETE, forward as GET, forward as PATCH, forward as POST, forward as PUT };
