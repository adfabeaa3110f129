"""A Pgpool-II before a primary and a standby: it sends what it takes for a read to the standby."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import URL

from api.local import data_dir
from api.local.postgres import EmbeddedPostgres
from tests.support.pgbouncer import answers
from tests.support.waiting import eventually

PROGRAM = shutil.which("pgpool", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
CONFIGURATION = """\
backend_clustering_mode = 'streaming_replication'
listen_addresses = '127.0.0.1'
port = {port}
socket_dir = '{directory}'
pcp_listen_addresses = ''
pcp_socket_dir = '{directory}'
pid_file_name = '{directory}/pgpool.pid'
logdir = '{directory}'
num_init_children = 4
backend_hostname0 = '127.0.0.1'
backend_port0 = {primary}
backend_weight0 = 0
backend_flag0 = 'ALWAYS_PRIMARY|DISALLOW_TO_FAILOVER'
backend_hostname1 = '127.0.0.1'
backend_port1 = {standby}
backend_weight1 = 1
backend_flag1 = 'DISALLOW_TO_FAILOVER'
load_balance_mode = on
sr_check_period = 0
health_check_period = 0
"""


@contextmanager
def balanced(
    directory: Path, url: URL, primary: EmbeddedPostgres, standby: EmbeddedPostgres
) -> Iterator[URL]:
    """Yield a URL through a pooler that balances all reads to the standby."""
    assert PROGRAM, "there is no pgpool: `make system-deps` installs Debian's"
    port = data_dir.free_port()
    configuration = directory / "pgpool.conf"
    configuration.write_text(
        CONFIGURATION.format(
            directory=directory, port=port, primary=primary.port, standby=standby.port
        )
    )
    for name in ("pool_hba.conf", "pcp.conf"):
        (directory / name).touch()
    files = ("-f", str(configuration), "-F", str(directory / "pcp.conf"))
    command = [str(PROGRAM), "-n", *files]
    through = url.set(port=port)
    with (
        (directory / "pgpool.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            eventually(lambda: answers(through))
            yield through
        finally:
            process.send_signal(signal.SIGINT)  # at SIGTERM it waits for its clients
