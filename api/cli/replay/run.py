"""`verbatim replay`: send dialogues through a running server, read them back, compare, report.

Sending is open-loop: a slow answer delays its own conversation, never the schedule.
"""

import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Literal

from api.cli import lag, terminal
from api.cli.lag import NoHistogramError
from api.cli.replay import dialogues
from api.cli.replay.client import ReplayClient
from api.cli.replay.dialogues import Dialogue
from api.cli.replay.lag_watch import LagWatch
from api.cli.replay.pace import Pace
from api.cli.replay.round_trip import Phase, RoundTrip

#: `--rate steady`: this many messages per second, or this part of the saturation if that is less,
#: but never below the minimum.
STEADY_PER_SECOND: Final = 500.0
STEADY_SHARE: Final = 0.6
MIN_PER_SECOND: Final = 1.0
#: How long the saturation is measured, and with which part of all messages at most.
SATURATION_SECONDS: Final = 5.0
SATURATION_PART: Final = 0.25
#: Differences that are printed; all are counted.
MAX_SHOWN: Final = 10

#: Messages per second; None: as fast as the server answers.
Rate = float | Literal["steady"] | None


@dataclass(frozen=True, slots=True)
class Replay:
    """One run of the command."""

    client: ReplayClient
    dialogues: Sequence[Dialogue]
    rate: Rate
    concurrency: int

    async def run(self) -> bool:
        """Send, read back, report; return whether all messages came back as they were sent.

        Raises ReplayError if no server answers at the start.
        """
        total = sum(len(dialogue.messages) for dialogue in self.dialogues)
        user = await self.client.register()
        terminal.print_line(
            "replay", f"{len(self.dialogues)} dialogues, {total} messages, user {user}"
        )
        trip = RoundTrip(self.client, self.concurrency)
        watch = LagWatch(self.client)
        waiting = deque(self.dialogues)
        per_second = self.rate
        if per_second == "steady":
            await watch.begin()
            per_second, entries = await self._steady_rate(trip, waiting)
            with suppress(NoHistogramError):
                # Wait until the drain has counted these entries: their lags must not be reported.
                await watch.since(entries)
        await watch.begin()
        with terminal.progress("sending", sum(len(d.messages) for d in waiting)) as advance:
            phase = await trip.send(waiting, Pace(per_second), advance)
        _report_sending(phase, per_second)
        await self._read_back(trip)
        await _report_lag(watch, phase.entries)
        if self.client.retries:
            causes = ", ".join(f"{n} after {cause}" for cause, n in self.client.retries.items())
            terminal.print_line("repeated", f"requests: {causes}")
        return _verdict(trip, total)

    async def _steady_rate(self, trip: RoundTrip, waiting: deque[Dialogue]) -> tuple[float, int]:
        """Measure the saturation with the first dialogues.

        Return the rate to send at, and the number of entries that were accepted meanwhile.
        """
        part = deque(waiting.popleft() for _ in range(_first_part(waiting)))
        with terminal.progress("saturating", sum(len(d.messages) for d in part)) as advance:
            phase = await trip.send(part, Pace(None), advance, within=SATURATION_SECONDS)
        waiting.extendleft(reversed(part))
        saturation = phase.per_second(within=SATURATION_SECONDS)
        rate = min(STEADY_PER_SECOND, STEADY_SHARE * saturation)
        terminal.print_line(
            "saturation",
            f"{saturation:.0f} messages/s, measured with {len(phase.answered_at)} messages "
            f"in {phase.seconds():.1f} s",
        )
        terminal.print_line(
            "steady",
            f"{rate:.0f} messages/s: the smaller of {STEADY_PER_SECOND:.0f} "
            f"and {STEADY_SHARE * 100:.0f} % of the saturation ({STEADY_SHARE * saturation:.0f})",
        )
        return max(rate, MIN_PER_SECOND), phase.entries

    async def _read_back(self, trip: RoundTrip) -> None:
        expected = sum(len(sent.ids) for sent in trip.sent)
        began = time.monotonic()
        with terminal.progress("reading", expected) as advance:
            await trip.read_back(advance)
        seconds = time.monotonic() - began
        found = sum(len(stored) for _, stored in trip.read)
        terminal.print_line(
            "read back", f"{found} messages in {seconds:.1f} s: {found / seconds:.0f}/s"
        )


async def _report_lag(watch: LagWatch, entries: int) -> None:
    try:
        found = await watch.since(entries)
    except NoHistogramError as error:
        terminal.print_line("lag", f"unknown: {error}")
        return
    p50, p99 = (terminal.format_seconds(found.quantile_seconds(q)) for q in (0.5, 0.99))
    terminal.print_line(
        "lag",
        f"p50 {p50}, p99 {p99}, from accepted to committed: {found.entries} entries in the "
        f"server's histogram {lag.FAMILY} meanwhile, interpolated within its buckets",
    )


def _first_part(waiting: Sequence[Dialogue]) -> int:
    """Return the number of dialogues to measure the saturation with, at least one."""
    running = list(accumulate(len(dialogue.messages) for dialogue in waiting))
    return max(sum(count <= running[-1] * SATURATION_PART for count in running), 1)


def _report_sending(phase: Phase, per_second: float | None) -> None:
    asked = "as fast as answered" if per_second is None else f"asked for {per_second:.0f}"
    terminal.print_line(
        "sent",
        f"{len(phase.answered_at)} messages in {phase.seconds():.1f} s: "
        f"{phase.per_second():.0f} messages/s ({asked})",
    )
    if phase.answer_seconds:
        p50, p99 = (terminal.format_seconds(phase.answer_quantile(q)) for q in (0.5, 0.99))
        terminal.print_line(
            "answered", f"p50 {p50}, p99 {p99}, from request to 202, seen from here"
        )


def _verdict(trip: RoundTrip, total: int) -> bool:
    """Print the result and the first differences; return whether there are none."""
    accepted = sum(len(sent.ids) for sent in trip.sent)
    read = sorted(trip.read, key=lambda pair: pair[0].dialogue.line)
    before = dialogues.digest(message for sent, _ in read for message in sent.accepted)
    after = dialogues.digest(message for _, stored in read for message in stored)
    if accepted == total and before == after and not trip.differences:
        terminal.print_line(
            "identical",
            f"{total} messages in {len(read)} conversations: number, order, roles and contents "
            f"(SHA-256 of all: {after[:16]}…)",
        )
        return True
    terminal.print_line(
        "different",
        f"{len(trip.differences)} differences; {total - accepted} of {total} messages were not "
        f"accepted; SHA-256 of the others: {before[:16]}… sent, {after[:16]}… read",
    )
    for difference in trip.differences[:MAX_SHOWN]:
        terminal.print_line(
            "",
            f"line {difference.line}, conversation {difference.conversation_id}, "
            f"position {difference.position}: {difference.what}",
        )
    return False
