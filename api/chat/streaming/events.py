"""Events of a streamed turn, as its clients are shown them, made of what the log holds of it."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from api.chat.answers import Answered
from api.chat.parts import Part, parts_in, with_parts
from api.core.turns import Said, TurnName, parts_of, text_of


@dataclass(frozen=True, slots=True)
class Started:
    """The turn's message is accepted."""

    turn: TurnName
    #: Code points of the answer that the client has already: what follows comes after them.
    after: int
    #: The oldest message that the assistant is given, if it is asked now.
    remembers_from: int | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """Some more of the answer."""

    #: Code points of the answer so far, this text included: where to go on from.
    length: int
    text: str


@dataclass(frozen=True, slots=True)
class Told:
    """A part of the answer besides its text. All of them come again where a stream is resumed."""

    #: 0, 1, 2, … within the answer.
    index: int
    part: Part


@dataclass(frozen=True, slots=True)
class Failed:
    """There will be no answer; the message is kept."""

    status: int
    title: str
    detail: str
    #: Seconds to wait before asking again, where they are known.
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Ping:
    """Nothing new, and still there."""


Event = Started | Delta | Told | Answered | Failed | Ping


def replay(answered: Answered, name: TurnName, after: int) -> AsyncIterator[Event] | None:
    """Return the events of a finished turn, None if `after` lies beyond its text."""
    if after > len(answered.response):
        return None

    async def events() -> AsyncIterator[Event]:
        yield Started(name, after)
        for index, part in enumerate(parts_in(answered.extra)):
            yield Told(index, part)
        if answered.response[after:]:
            yield Delta(len(answered.response), answered.response[after:])
        yield answered

    return events()


def shown(fresh: list[Said], after: int) -> Iterator[Delta | Told]:
    """Yield what was said after the first `after` code points, as few texts as there can be."""
    texts: list[str] = []
    for said in fresh:
        if said.kind == "delta" and said.length > after:
            texts.append(said.text[len(said.text) - (said.length - after) :])
            after = said.length
        elif said.kind == "part":
            if texts:
                yield Delta(after, "".join(texts))
                texts.clear()
            yield Told(**json.loads(said.text))
    if texts:
        yield Delta(after, "".join(texts))


def has_all(heard: list[Said]) -> bool:
    """Return whether an answer's text was heard whole, at its end.

    What one process said may be lost to another that finishes its turn, and so to those who listen
    to that one: the turn's stream expires, at once where Redis' clock is set forward.
    """
    told = json.loads(heard[-1].text)
    return heard[-1].kind != "end" or told.get("length") in {None, len(text_of(heard))}


def last(name: TurnName, heard: list[Said]) -> Answered | Failed:
    """Read from all that was heard how the turn ended."""
    told = json.loads(heard[-1].text)
    if heard[-1].kind == "error":
        return Failed(**told)
    return Answered(
        *(name.id, told["reply_id"], text_of(heard), told["status"]),
        with_parts(told.get("extra") or None, parts_of(heard)),
    )
