#!/usr/bin/env bash
# obstore's S3Store mixes the environment's credentials and endpoint with those of its arguments.
#
# Versions: obstore 0.12.1, Python 3.11.
# Assumed: `S3Store(access_key_id=…, secret_access_key=…, endpoint=…)` signs with this key alone,
#   and asks this endpoint, whatever AWS_ variables another program is given.
# Seen: AWS_SESSION_TOKEN is sent along with the key of the arguments, for which it is not valid;
#   AWS_ENDPOINT_URL_S3 wins over `endpoint`. With a `credential_provider` and
#   `aws_endpoint_url_s3` neither does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check obstore==0.12.1

cat > asking.py <<'PYTHON'
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from obstore.store import S3Store

seen = []


class Taker(BaseHTTPRequestHandler):
    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        seen.append((self.server.server_port, self.headers["x-amz-security-token"]))
        self.send_response(200)
        self.send_header("ETag", '"x"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def serving():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


mine, another = serving(), serving()
url = f"http://127.0.0.1:{mine}"
key = {"access_key_id": "mine", "secret_access_key": "mine"}
common = {"region": "us-east-1", "client_options": {"allow_http": True}}
os.environ["AWS_SESSION_TOKEN"] = "of-another"

S3Store("files", endpoint=url, **key, **common).put("x", b"x")
print("with AWS_SESSION_TOKEN, its token is sent:", seen[-1])
assert seen[-1] == (mine, "of-another")

os.environ["AWS_ENDPOINT_URL_S3"] = f"http://127.0.0.1:{another}"
S3Store("files", endpoint=url, **key, **common).put("x", b"x")
print("with AWS_ENDPOINT_URL_S3, it is asked:", seen[-1])
assert seen[-1] == (another, "of-another")

S3Store(
    "files",
    aws_endpoint_url_s3=url,
    credential_provider=lambda: {**key, "token": None, "expires_at": None},
    **common,
).put("x", b"x")
print("with a provider and aws_endpoint_url_s3, neither:", seen[-1])
assert seen[-1] == (mine, None)
PYTHON

venv/bin/python asking.py
