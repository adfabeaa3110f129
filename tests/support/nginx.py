"""A real nginx before an API, configured as docs/behind-a-proxy.md shows it."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from api.local import data_dir
from tests.support.waiting import eventually

PROGRAM = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PAGE = Path(__file__).parents[2] / "docs" / "behind-a-proxy.md"
#: What the page leaves out: where this one keeps its files.
_AROUND = """\
daemon off;
{user}
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
{server}
}}
"""


@contextmanager
def nginx(directory: Path, api_url: str, server: str | None = None) -> Iterator[str]:
    """Yield the URL of an nginx that passes everything on to an API.

    `server` is its configuration; the page's, unless given.
    """
    assert PROGRAM, "there is no nginx: `make system-deps` installs Debian's"
    port = data_dir.free_port()
    server = (server or configuration()).replace("http://127.0.0.1:8000", api_url)
    server = re.sub(r"listen 80;", f"listen 127.0.0.1:{port};", server)
    path = directory / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    path.write_text(_AROUND.format(directory=directory, server=server, user=user))
    with subprocess.Popen(
        [PROGRAM, "-p", str(directory), "-c", str(path), "-e", f"{directory}/error.log"],
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            eventually(lambda: listens(port))
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def configuration() -> str:
    """The page's example for nginx."""
    [shown] = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return str(shown)


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
