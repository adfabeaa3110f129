"""A real server of S3's protocol on this machine: rclone, which keeps each object as a file."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from api.local import data_dir
from tests.support.nginx import listens
from tests.support.waiting import eventually

PROGRAM: Final = Path(sys.executable).with_name("rclone")
KEY_ID, KEY = "verbatim-of-the-tests", "the-secret-of-the-bucket"
BUCKET, PREFIX = "files-of-tests", "some/where"


class BucketServer:
    """A server with one bucket; a test may stop it and start it again."""

    def __init__(self, directory: Path, certificate: tuple[Path, Path] | None = None) -> None:
        """With a certificate and its key, for `localhost`, it speaks TLS only."""
        self._certificate = certificate
        self._directory = directory
        self._objects = directory / BUCKET / PREFIX
        self._process: subprocess.Popen[bytes] | None = None
        self._origin = "https://localhost" if certificate else "http://127.0.0.1"
        self.port = data_dir.free_port()
        (directory / BUCKET).mkdir()

    @property
    def settings(self) -> dict[str, Any]:
        """What is set for it."""
        return {
            "assets_url": f"s3://{BUCKET}/{PREFIX}",
            "assets_endpoint": f"{self._origin}:{self.port}",
            "assets_access_key_id": SecretStr(KEY_ID),
            "assets_secret_access_key": SecretStr(KEY),
        }

    @property
    def environment(self) -> dict[str, str]:
        """The same, for another process."""
        return {
            name.upper(): value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in self.settings.items()
        }

    def objects(self) -> dict[str, bytes]:
        """Return the objects of the bucket, by their names after the prefix."""
        paths = self._objects.glob("**/*")
        return {path.name: path.read_bytes() for path in paths if path.is_file()}

    def start(self) -> None:
        """Start it, on the same port each time."""
        tls: tuple[str | Path, ...] = ()
        if self._certificate:
            certificate, key = self._certificate
            tls = ("--cert", certificate, "--key", key)
        self._process = subprocess.Popen(
            [
                *(PROGRAM, "serve", "s3", "--addr", f"127.0.0.1:{self.port}"),
                *("--auth-key", f"{KEY_ID},{KEY}", "--log-level", "ERROR"),
                *(*tls, self._directory),
            ],
            env={**os.environ, "RCLONE_CONFIG": os.devnull},
        )
        eventually(lambda: listens(self.port))

    def stop(self) -> None:
        """Stop it; its objects stay."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    @contextmanager
    def away(self) -> Iterator[None]:
        """Have it stopped meanwhile."""
        self.stop()
        try:
            yield
        finally:
            self.start()


@contextmanager
def putting() -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """Take whatever is put at an endpoint; yield it, and the path and headers of each request."""
    requests: list[tuple[str, dict[str, str]]] = []

    class Taker(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            requests.append((self.path, headers))
            self.send_response(200)
            self.send_header("ETag", '"x"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Taker) as server:
        thread = threading.Thread(target=server.serve_forever, name="taker")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()
