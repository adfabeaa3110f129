"""A Redis Cluster of real servers on loopback."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from redis import Redis

from api.local import data_dir
from api.local.redis import EmbeddedRedis
from tests.support.servers import running
from tests.support.waiting import eventually

SLOTS = 16_384
PASSWORD = "one-for-all-nodes"
#: One slot without a master must not stop the others.
CONFIGURATION = """\
cluster-enabled yes
cluster-port {bus}
cluster-node-timeout 1000
cluster-require-full-coverage no
cluster-replica-validity-factor 0
masterauth {password}
repl-diskless-sync-delay 0
"""


class ClusterNode(EmbeddedRedis):
    """One server of a cluster. It may be killed and started again."""

    def prepare(self) -> None:
        """Write the configuration."""
        if not self.more_configuration:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            data_dir.write_privately(self.directory / "password", PASSWORD)
            self.more_configuration = CONFIGURATION.format(
                bus=data_dir.free_port(), password=PASSWORD
            )
        super().prepare()

    def ask(self, *command: str | int) -> Any:
        """Send this server a command, and return its answer."""
        with Redis.from_url(self.url) as client:
            return client.execute_command(*command)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"


class RedisCluster:
    """Masters that share the slots evenly, each with so many replicas."""

    def __init__(self, masters: list[ClusterNode], replicas: list[ClusterNode]) -> None:
        self.masters = masters
        self.replicas = replicas

    @property
    def nodes(self) -> list[ClusterNode]:
        """All servers."""
        return self.masters + self.replicas

    @property
    def url(self) -> str:
        """What REDIS_URL says."""
        hosts = ",".join(node.address for node in self.masters)
        return f"redis+cluster://:{PASSWORD}@{hosts}"

    def form(self) -> None:
        """Make one cluster of the servers."""
        share = SLOTS / len(self.masters)
        for number, node in enumerate(self.masters):
            node.ask(
                "CLUSTER", "ADDSLOTSRANGE", round(number * share), round((number + 1) * share) - 1
            )
        first = self.masters[0]
        for node in self.nodes[1:]:
            bus = node.more_configuration.partition("cluster-port ")[2].split()[0]
            first.ask("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        eventually(lambda: all(self._knows_all(node) for node in self.nodes))
        for number, replica in enumerate(self.replicas):
            of = self.masters[number % len(self.masters)]
            replica.ask("CLUSTER", "REPLICATE", id_of(of))
        self.wait()

    def wait(self) -> None:
        """Wait until every server finds the cluster whole."""
        eventually(lambda: all(self._is_ok(node) for node in self.nodes))

    def flush(self) -> None:
        """Empty every master."""
        for node in self.masters:
            node.ask("FLUSHALL")

    def _knows_all(self, node: ClusterNode) -> bool:
        return len(_lines(node, "NODES")) == len(self.nodes)

    def _is_ok(self, node: ClusterNode) -> bool:
        info = dict(line.split(":") for line in _lines(node, "INFO") if ":" in line)
        found = (info["cluster_state"], int(info["cluster_slots_ok"]), int(info["cluster_size"]))
        return found == ("ok", SLOTS, len(self.masters))


def id_of(node: ClusterNode) -> str:
    """Return the name that a server has in its cluster."""
    name: bytes = node.ask("CLUSTER", "MYID")
    return name.decode()


def _lines(node: ClusterNode, what: str) -> list[str]:
    answer: bytes = node.ask("CLUSTER", what)
    return answer.decode().splitlines()


@contextmanager
def running_cluster(
    directory: Path, masters: int, replicas: int = 0, program: Path | None = None
) -> Iterator[RedisCluster]:
    """Run a cluster, whole from the start."""
    with ExitStack() as stack:

        def node(number: int) -> ClusterNode:
            return stack.enter_context(running(ClusterNode(directory / str(number), program)))

        cluster = RedisCluster(
            [node(number) for number in range(masters)],
            [node(masters + number) for number in range(masters * replicas)],
        )
        cluster.form()
        yield cluster
