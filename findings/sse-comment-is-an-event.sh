#!/usr/bin/env bash
# A comment and an empty line are no event, and two clients of event streams make one of them.
#
# Versions: npm @microsoft/fetch-event-source 2.0.1, PyPI httpx-sse 0.4.3 (with httpx 0.28.1).
# Assumed: ": ping" followed by an empty line, the usual heartbeat, is invisible. The standard's
#   "dispatch the event" returns where the data buffer is empty
#   (https://html.spec.whatwg.org/multipage/server-sent-events.html).
# Seen: fetch-event-source calls onmessage with empty data for it; httpx-sse yields an event without
#   data, but only once an id was seen. `JSON.parse("")` in an application then throws, and
#   fetch-event-source takes that for a lost connection and sends its request again.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null; rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check httpx-sse==0.4.3 httpx==0.28.1 2> /dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @microsoft/fetch-event-source@2.0.1

cat > server.py <<'PYTHON'
from http.server import BaseHTTPRequestHandler, HTTPServer

STREAM = b"id: 1\ndata: one\n\n: ping\n\n: ping\n\ndata: two\n\n"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
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
python3 server.py &
until [ -s port ]; do sleep 0.1; done
url="http://127.0.0.1:$(cat port)/"

cat > client.js <<'JAVASCRIPT'
Object.assign(globalThis, { window: globalThis, document: { removeEventListener() {} } });
const { fetchEventSource } = require("@microsoft/fetch-event-source");
const seen = [];
fetchEventSource(process.argv[2], {
  openWhenHidden: true,
  onmessage: (event) => seen.push(event.data),
}).then(() => {
  console.log(JSON.stringify(seen));
  process.exit(0);
});
JAVASCRIPT
cat > client.py <<'PYTHON'
import json
import sys

import httpx
import httpx_sse

with httpx.Client() as client, httpx_sse.connect_sse(client, "GET", sys.argv[1]) as source:
    print(json.dumps([event.data for event in source.iter_sse()], separators=(",", ":")))
PYTHON

npm_saw=$(node client.js "$url")
pypi_saw=$(venv/bin/python client.py "$url")
echo "fetch-event-source 2.0.1: $npm_saw"
echo "httpx-sse 0.4.3:          $pypi_saw"
# Output seen:
#   fetch-event-source 2.0.1: ["one","","","two"]
#   httpx-sse 0.4.3:          ["one","","","two"]
[ "$npm_saw" = '["one","","","two"]' ] && [ "$pypi_saw" = '["one","","","two"]' ]
