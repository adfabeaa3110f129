#!/usr/bin/env bash
# An event-stream client that was told to POST posts again, with its body, after each clean end.
#
# Version: npm eventsource-client 1.2.0.
# Assumed: a stream that the server ends, after an answer to a POST, ends the request.
# Seen: the client takes the end for a lost connection and sends the whole request again, 2 s later
#   unless told otherwise, for ever. A server without idempotency keys does its work each time. A 204
#   stops it.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null; rm -rf "$folder"' EXIT
cd "$folder"

npm install --silent --no-audit --no-fund --ignore-scripts eventsource-client@1.2.0

cat > server.py <<'PYTHON'
from http.server import BaseHTTPRequestHandler, HTTPServer

STREAM = b"id: 1\nevent: end\ndata: done\n\n"
bodies = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if len(bodies) == 4:
            print(f"{len(bodies)} requests: {bodies}", flush=True)
            self.send_response(204)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(STREAM)))
        self.end_headers()
        self.wfile.write(STREAM)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
open("port", "w").write(str(server.server_port))
server.serve_forever()
PYTHON
python3 server.py > seen &
until [ -s port ]; do sleep 0.1; done

cat > client.mjs <<'JAVASCRIPT'
import { createEventSource } from "eventsource-client";
const source = createEventSource({
  url: process.argv[2],
  method: "POST",
  body: "hello",
  initialRetryDelayMs: 100,
});
const timer = setInterval(() => {
  if (source.readyState === "closed") process.exit(clearInterval(timer));
}, 20);
JAVASCRIPT
timeout 60 node client.mjs "http://127.0.0.1:$(cat port)/"
echo "eventsource-client 1.2.0, three clean ends and a 204: $(cat seen)"
# Output seen:
#   eventsource-client 1.2.0, three clean ends and a 204: 4 requests: ['hello', 'hello', 'hello', 'hello']
[ "$(cat seen)" = "4 requests: ['hello', 'hello', 'hello', 'hello']" ]
