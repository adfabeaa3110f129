"""The log on Redis, seen from Python; `lua/head.lua` documents every key.

`Log` is the synchronous client, of workers, the command line and what runs in a thread, inside a
transaction of PostgreSQL. Coroutines use `api.writes.async_log`.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from api.core import old_names
from api.core.accept_calls import Limits, accept_arguments, accept_parts
from api.core.accept_requests import AcceptRequest
from api.core.accept_results import AcceptReply, read_replies, read_reply
from api.core.log_books import LogBooks
from api.core.log_calls import raised, refusing_another_database
from api.core.log_drain import LogDrain

#: How often assets that no message names are looked for.
ORPHANS_SECONDS: Final = 3600
#: How often old conversations are looked for, here as in the script.
RETENTION_SECONDS: Final = 3_600


class Log(LogDrain, LogBooks):
    """The log, synchronously: what workers, the command line and the tests do with it."""

    def accept(
        self, limits: Limits, deadline_ms: int, requests: Iterable[AcceptRequest]
    ) -> AcceptReply:
        """Accept entries in one call (the API does the same through its group commit)."""
        if self.servers.is_cluster:
            parts = accept_parts(limits, deadline_ms, list(requests))
            with refusing_another_database():
                return read_replies(parts, raised(self._asked_parts("accept", parts)))
        partitions, arguments = accept_arguments(limits, deadline_ms, list(requests))
        return read_reply(self.run("accept", *arguments, at=partitions))

    def revoke(self, user_id: int, sessions: Sequence[str], seconds: int) -> None:
        """Have no access token of these sessions taken any more; the youngest lives so long."""
        self.run("revoke", seconds, user_id, *sessions)

    def refuse_lost_user(self, user_id: int, seconds: int) -> None:
        """Block the writes of a user who does not exist, unless they are blocked already."""
        self.run("gone", user_id, seconds, "unless blocked")

    def forget_turns(self, conversation_id: int) -> None:
        """Have the next chat turn of a conversation load its recent turns from PostgreSQL."""
        name = self.key(conversation_id, f"turns:{conversation_id}")
        self.ask(conversation_id, lambda redis: redis.delete(name))

    def present(self, worker: str) -> None:
        """Say that a worker is there: without it, it counts as gone after 15 s."""
        self.run("present", worker, at=(0,))

    def wants_retention(self) -> bool:
        """Tell whether the caller is the one to look for old conversations (once an hour)."""
        return bool(self.run("retention", at=(0,)))

    def wants_orphans(self) -> bool:
        """Tell whether the caller is the one to look for assets without messages (likewise)."""
        name = self.key(0, "orphans")
        return bool(self.ask(0, lambda redis: redis.set(name, 1, nx=True, ex=ORPHANS_SECONDS)))

    def has_old_names(self) -> bool:
        """Return whether there is, or was, a log whose keys did not carry their partition yet.

        None was ever opened on a cluster.
        """
        return not self.servers.is_cluster and old_names.known(self.servers.at(0), self.namespace)

    def leave_old_names(self, database_id: str) -> bool:
        """Take over from a log whose keys did not carry their partition yet, if there is one.

        Return whether that was done now. Raises OldLogError while that log has entries,
        WrongDatabaseError if it is another's.
        """
        if self.servers.is_cluster:
            return False
        with refusing_another_database():
            revoked = old_names.leave(self.servers.at(0), self.namespace, database_id)
        for user, session, seconds in revoked or ():
            self.revoke(user, [session], seconds)
        return revoked is not None
