"""A Redis Cluster of real servers on loopback."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from api.local import data_dir
from api.local.redis import EmbeddedRedis
from tests.support.servers import running
from tests.support.waiting import eventually

SLOTS = 16_384
PASSWORD = "one-for-all-nodes"
HOST = "127.0.0.1"
#: How long a server may be silent before the others take it for dead: a busy machine's often are.
PATIENCE_MS = 60_000
#: One slot without a master must not stop the others.
CONFIGURATION = """\
cluster-enabled yes
cluster-port {bus}
cluster-node-timeout {timeout_ms}
cluster-require-full-coverage no
cluster-replica-validity-factor 0
masterauth {password}
repl-diskless-sync-delay 0
"""
#: Where others find a server, and from where it comes to them.
ANNOUNCED = """\
cluster-announce-ip {host}
cluster-announce-port {port}
cluster-announce-bus-port {bus}
bind-source-addr {source}
"""


class ClusterNode(EmbeddedRedis):
    """One server of a cluster. It may be killed and started again."""

    timeout_ms = PATIENCE_MS
    #: Where others find it: its own ports, or those of what stands in the way.
    seen_port = seen_bus_port = 0
    #: The address from which it connects to others.
    source = HOST

    @cached_property
    def bus_port(self) -> int:
        """The port at which the servers speak to each other."""
        return data_dir.free_port()

    def prepare(self) -> None:
        """Write the configuration."""
        if not self.more_configuration:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            data_dir.write_privately(self.directory / "password", PASSWORD)
            self.seen_port = self.seen_port or self.port
            self.seen_bus_port = self.seen_bus_port or self.bus_port
            self.more_configuration = CONFIGURATION.format(
                bus=self.bus_port, password=PASSWORD, timeout_ms=self.timeout_ms
            ) + ANNOUNCED.format(
                host=HOST, port=self.seen_port, bus=self.seen_bus_port, source=self.source
            )
        super().prepare()

    def ask(self, *command: str | int) -> Any:
        """Send this server a command, and return its answer."""
        with Redis.from_url(self.url) as client:
            return client.execute_command(*command)

    @property
    def address(self) -> str:
        """Host and port, as others find it."""
        return f"{HOST}:{self.seen_port}"


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
            first.ask("CLUSTER", "MEET", HOST, node.seen_port, node.seen_bus_port)
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


def is_master(node: ClusterNode) -> bool:
    """Tell whether a server is a master now."""
    return bool(node.ask("HELLO")[b"role"] == b"master")


def owns(node: ClusterNode, slot: int) -> bool:
    """Tell whether a server finds a slot to be its own."""
    slots = node.ask("CLUSTER", "SLOTS")
    return any(
        first <= slot <= last and found[1] == node.seen_port for first, last, found, *_ in slots
    )


def move_slot(source: ClusterNode, target: ClusterNode, slot: int) -> None:
    """Move all of a slot at once, as Valkey 9 does; a busy machine may need several tries."""

    def has_moved() -> bool:
        if owns(target, slot):
            return True
        # Refused while it is under way.
        with suppress(ResponseError):
            source.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", id_of(target))
        return False

    eventually(has_moved)


def move_keys(source: ClusterNode, target: ClusterNode, slot: int) -> None:
    """Move the keys of a slot one by one, as servers did before they could do it at once."""
    while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1):
        to = (HOST, target.seen_port, "", 0, 5_000, "AUTH", PASSWORD, "KEYS", *keys)
        source.ask("MIGRATE", *to)


def _lines(node: ClusterNode, what: str) -> list[str]:
    answer: bytes = node.ask("CLUSTER", what)
    return answer.decode().splitlines()


@contextmanager
def running_cluster(
    directory: Path, masters: int, replicas: int = 0, timeout_ms: int = PATIENCE_MS
) -> Iterator[RedisCluster]:
    """Run a cluster, whole from the start. `timeout_ms` is how soon a failover begins."""
    with ExitStack() as stack:

        def node(number: int) -> ClusterNode:
            made = ClusterNode(directory / str(number))
            made.timeout_ms = timeout_ms
            return stack.enter_context(running(made))

        cluster = RedisCluster(
            [node(number) for number in range(masters)],
            [node(masters + number) for number in range(masters * replicas)],
        )
        cluster.form()
        yield cluster
