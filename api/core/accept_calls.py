"""One accept call: what it may fill, and its requests as the script takes them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Self

from api.core import log_calls
from api.core.accept_requests import AcceptRequest
from api.core.ids import ALL_PARTITIONS, partition_of
from api.core.settings import Settings
from api.core.turns import LEASE_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an accept call may fill, under the names of the settings that say so."""

    log_max_entries: int
    log_max_bytes: int
    log_max_age_seconds: int
    idempotency_seconds: int
    # Of one user; 0 for none.
    user_writes_per_minute: int = 0
    user_bytes_per_minute: int = 0
    user_backlog_entries: int = 0
    user_backlog_bytes: int = 0
    user_conversations_per_day: int = 0
    user_keys_per_hour: int = 0
    # Of the recent turns of one conversation.
    assistant_memory_messages: int = 20
    assistant_memory_bytes: int = 16 * 1024

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take them from the settings."""
        return cls(**{field.name: getattr(settings, field.name) for field in fields(cls)})

    def joined(self) -> str:
        """Return them as the script takes them: one argument costs less than thirteen."""
        return (
            f"[{self.log_max_entries},{self.log_max_bytes},{self.log_max_age_seconds},"
            f"{self.idempotency_seconds},{self.user_writes_per_minute},"
            f"{self.user_bytes_per_minute},{self.user_backlog_entries},{self.user_backlog_bytes},"
            f"{self.user_conversations_per_day},{self.user_keys_per_hour},{LEASE_MS},"
            f"{self.assistant_memory_messages},{self.assistant_memory_bytes}]"
        )


def accept_arguments(
    limits: Limits, deadline_ms: int, requests: Sequence[AcceptRequest]
) -> tuple[Iterable[int], list[bytes | str | int]]:
    """Return an accept call's partitions and arguments. It is void after its deadline (Redis time).

    A call without requests looks whether every partition is open.
    """
    call: list[bytes | str | int] = [deadline_ms, limits.joined()]
    for request in requests:
        call += request.arguments()
    partitions = {request.partition for request in requests}
    # What an external id leads to is known in its user's home partition.
    partitions |= {partition_of(one.user_id) for one in requests if one.op == "delete"}
    return partitions or ALL_PARTITIONS, call


def accept_parts(
    limits: Limits,
    deadline_ms: int,
    requests: Sequence[AcceptRequest],
    at: Iterable[int] = ALL_PARTITIONS,
) -> list[log_calls.Part]:
    """Return an accept call divided by partitions; without requests it is for those `at`."""
    places: dict[int, list[int]] = {} if requests else {one: [] for one in at}
    for place, request in enumerate(requests):
        places.setdefault(request.partition, []).append(place)
    return [
        log_calls.Part(
            partition,
            accept_arguments(limits, deadline_ms, [requests[place] for place in taken])[1],
            taken,
        )
        for partition, taken in places.items()
    ]
