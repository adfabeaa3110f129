"""Running turns, as the log knows them: who runs one, who is to stop, what one has said."""

from typing import Final

from api.core import ids
from api.core.turns import LEASE_MS, Said, TurnName, TurnState, read_said
from api.writes.async_log import AsyncLog

#: A turn whose lease ended this long ago is taken over; a waiting retry takes it before.
GRACE_MS: Final = 10_000


class RunningTurns:
    """Leases, stops and states of turns. Every method raises Unavailable as AsyncLog does."""

    def __init__(self, log: AsyncLog) -> None:
        self._log = log

    async def renew(self, name: TurnName, token: str) -> bool:
        """Keep a lease for another 10 s; False if it is no longer this caller's."""
        return await self._lease(name, token, LEASE_MS)

    async def release(self, name: TurnName, token: str) -> bool:
        """Give a lease up, so that a retry can run the assistant at once."""
        return await self._lease(name, token, 0)

    async def running(self, user_id: int, conversation_id: int) -> list[int]:
        """Return the ids of the streamed turns that are running in a user's conversation."""
        at = (ids.partition_of(conversation_id),)
        running = await self._log.run("running", user_id, conversation_id, at=at)
        return [int(turn) for turn in running]

    async def stop(self, user_id: int, conversation_id: int, turn_id: int | None) -> list[int]:
        """Ask one running turn to stop, or all of them; return which were asked."""
        at = (ids.partition_of(conversation_id),)
        asked = await self._log.run("stop", user_id, conversation_id, turn_id or "", at=at)
        return [int(turn) for turn in asked]

    async def state(self, name: TurnName) -> TurnState:
        """Return whose a turn's conversation is, whether it is running, and its answer's id."""
        owner, running, reply = await self._log.run(
            "turn", name.user_id, name.conversation_id, name.id,
            at=(ids.partition_of(name.conversation_id),),
        )  # fmt: skip
        return TurnState(
            int(owner) if owner else None, bool(running), int(reply) if reply else None
        )

    async def claim(self, token: str, most: int) -> list[TurnName]:
        """Take over streamed turns whose runner has been gone for a while."""
        members = await self._log.run("claim", token, GRACE_MS, LEASE_MS, most)
        return [TurnName.of_member(member) for member in members]

    async def said(self, turn_id: int) -> list[Said]:
        """Return all that a turn has said."""
        at = (ids.partition_of(turn_id),)
        return [
            said
            for _, entries in await self._log.run("heard", turn_id, "0-0", at=at)
            for said in read_said(entries)
        ]

    async def _lease(self, name: TurnName, token: str, lease_ms: int) -> bool:
        at = (ids.partition_of(name.id),)
        return bool(await self._log.run("lease", name.id, token, name.member, lease_ms, at=at))
