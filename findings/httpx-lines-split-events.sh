#!/usr/bin/env bash
# `iter_lines()` of httpx splits a server-sent event in two at U+2028, within its data.
#
# Versions: PyPI httpx 0.28.1.
# Assumed: the lines of an event stream are what `iter_lines()` yields; many clients of
#   `text/event-stream` are written with it. The standard ends a line at CR, LF or both, and JSON
#   allows U+2028, U+2029 and U+0085 within a text as they are
#   (https://html.spec.whatwg.org/multipage/server-sent-events.html, RFC 8259, section 7).
# Seen: it splits as `str.splitlines()` does, so also there: the data is cut in the midst of its
#   JSON, and the rest is a line without a field.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check httpx==0.28.1 2> /dev/null

cat > client.py <<'PYTHON'
import json

import httpx

TEXT = "one\u2028two"
EVENT = f"data: {json.dumps({'text': TEXT}, ensure_ascii=False)}\n\n".encode()


def answer(request):
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=EVENT)


with httpx.Client(transport=httpx.MockTransport(answer)) as client:
    with client.stream("GET", "http://server/") as response:
        print(json.dumps(list(response.iter_lines())))
PYTHON

saw=$(venv/bin/python client.py)
echo "httpx 0.28.1: $saw"
# Output seen:
#   httpx 0.28.1: ["data: {\"text\": \"one", "two\"}", ""]
[ "$saw" = '["data: {\"text\": \"one", "two\"}", ""]' ]
