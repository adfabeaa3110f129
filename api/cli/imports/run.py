"""`verbatim import`: sends what files or a database have, and tells what became of it."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from api.cli import terminal
from api.cli.imports.archives import Source, SourceError, open_sources
from api.cli.imports.client import Answer, ImportClient
from api.cli.imports.form import Conversation, lines_of
from api.cli.imports.formats import read_conversations
from api.cli.imports.json_items import read_items
from api.cli.imports.report import Report

#: Bytes of one request; a line that is longer is sent alone.
REQUEST_MOST_BYTES: Final = 960 * 1024

#: Shows progress through a number of bytes; yields a function that is told how many more were read.
Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
#: A conversation, and whose it becomes: a subject of the key's, or nothing for the key's owner.
Owned = tuple[str, Conversation]


@dataclass(slots=True)
class Import:
    """One run of the command; without a client it only looks (`--dry-run`)."""

    client: ImportClient | None
    report: Report = field(default_factory=Report)
    conversations: int = 0
    messages: int = 0
    #: Messages that the server had already.
    known: int = 0
    _latest: tuple[str, str] = "", ""
    #: Whose the lines are that wait; empty for the owner of the key.
    _subject: str = ""
    _waiting: list[tuple[bytes, str]] = field(default_factory=list)
    _waiting_bytes: int = 0

    def run(self, owned: Iterable[Owned]) -> bool:
        """Send conversations and print a summary; return whether nothing was damaged.

        Raises ImportFailed where the server does not take it.
        """
        began = time.monotonic()
        try:
            for subject, conversation in owned:
                self._take(subject, conversation)
            self._send()
        finally:
            self._summarize(time.monotonic() - began)
        return not self.report.problems

    def of_files(
        self,
        paths: Sequence[Path],
        format_name: str,
        progress: Progress = terminal.byte_progress,
    ) -> Iterator[Owned]:
        """Yield what is in files, for the owner of the key."""
        for path in paths:
            try:
                for source in open_sources(path, self.report):
                    self.report.file = source.name
                    with progress(source.name, source.size) as advance:
                        for conversation in self._conversations(source, format_name, advance):
                            yield "", conversation
            except SourceError as error:
                self.report.file, self.report.item = path.name, 0
                self.report.fail(str(error))

    def _conversations(
        self, source: Source, format_name: str, advance: Callable[[int], None]
    ) -> Iterator[Conversation]:
        def read(most: int) -> bytes:
            data = source.read(most)
            advance(len(data))
            return data

        return read_conversations(read_items(read, self.report), format_name, self.report)

    def _take(self, subject: str, conversation: Conversation) -> None:
        # A long one may come in parts.
        self.conversations += (subject, conversation.external_id) != self._latest
        self._latest = subject, conversation.external_id
        if subject != self._subject:
            self._send()
            self._subject = subject
        if self.client is None:
            self.messages += len(conversation.messages)
            return
        place = f"{self.report.file}, {self.report.item}"
        for line in lines_of(conversation):
            if self._waiting and self._waiting_bytes + len(line) > REQUEST_MOST_BYTES:
                self._send()
            self._waiting.append((line, place))
            self._waiting_bytes += len(line) + 1

    def _send(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if self.client is not None and waiting:
            answers = self.client.send([line for line, _ in waiting], self._subject)
            for answer, (_, place) in zip(answers, waiting, strict=True):
                self._count(answer, place)

    def _count(self, answer: Answer, place: str) -> None:
        self.messages += answer.messages
        self.known += sum(answer.skipped.values())
        if answer.error is not None:
            self.report.file, self.report.item = place, 0
            self.report.fail(f"refused by the server: {answer.error.detail}")

    def _summarize(self, seconds: float) -> None:
        kind = "found" if self.client is None else "imported"
        known = f", {self.known} were there already" if self.known else ""
        terminal.print_line(
            kind,
            f"{self.messages} messages of {self.conversations} conversations in {seconds:.1f} s"
            f"{known}",
        )
        for name, counts in (("left out", self.report.left_out), ("changed", self.report.changed)):
            for reason, count in counts.most_common():
                where = "; ".join(self.report.places[reason])
                terminal.print_line(name, terminal.escape_control(f"{count} {reason} ({where})"))
        if self.client is not None and self.client.retries:
            causes = ", ".join(f"{n} after {cause}" for cause, n in self.client.retries.items())
            terminal.print_line("repeated", f"requests: {causes}")
