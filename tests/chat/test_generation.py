"""The limits of an answer: to its first token, from token to token, for all of it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from api.chat.assistants.protocol import Finish, Piece, Reasoning, ToolCall, Usage
from api.chat.generation import Generation, Timeouts
from api.chat.parts import Part
from api.core.errors import BadGateway, GatewayTimeout
from api.core.settings import Settings
from api.core.text import CONTENT_MOST
from api.core.turns import File, TurnMessage

LONG = 30.0
#: Long enough for a machine that is busy, and short for a test.
SHORT = 0.3
HELLO = TurnMessage("user", "Hello")


Step = Piece | float | Exception


class Scripted:
    """Says pieces; a number is a pause, an exception is raised."""

    def __init__(self, *script: Step) -> None:
        self._script = script
        #: It has begun to pause.
        self.pauses = asyncio.Event()

    async def answer(
        self, _recent: Sequence[TurnMessage], _message: str, _files: Sequence[File] = ()
    ) -> AsyncGenerator[Piece]:
        for step in self._script:
            if isinstance(step, float):
                self.pauses.set()
                await asyncio.sleep(step)
            elif isinstance(step, Exception):
                raise step
            else:
                yield step

    async def title(self, _message: str, _response: str) -> None:
        """Offer none."""

    async def close(self) -> None:
        """Nothing is open."""


def made(
    *script: Step,
    first: float = LONG,
    silence: float = LONG,
    whole: float = LONG,
) -> tuple[Generation, list[str]]:
    generation, shown, _ = told(*script, first=first, silence=silence, whole=whole)
    return generation, shown


def told(
    *script: Step,
    first: float = LONG,
    silence: float = LONG,
    whole: float = LONG,
) -> tuple[Generation, list[str], list[Part]]:
    shown: list[str] = []
    parts: list[Part] = []
    generation = Generation(shown.append, parts.append)
    timeouts = Timeouts(first=first, silence=silence, whole=whole)
    asyncio.run(generation.run(Scripted(*script), timeouts, [], HELLO))
    assert "".join(shown) == generation.text
    # What was told is stored, unless nothing is.
    stored = (generation.extra or {}).get("parts", [])
    assert parts == (stored if generation.failure is None else [])
    return generation, shown, parts


def _repeated(times: int, *steps: Step) -> list[Step]:
    return [*steps] * times


def test_an_answer_may_take_longer_than_its_first_token_or_a_silence() -> None:
    said, _ = made(*_repeated(10, 0.1, "word "), first=0.6, silence=0.6)

    assert (said.text, said.status, said.problem) == ("word " * 10, "stored", None)


def test_no_first_token_in_time_is_a_time_out() -> None:
    said, _ = made(LONG, "word", first=SHORT)

    assert isinstance(said.failure, GatewayTimeout)


def test_silence_leaves_what_was_said() -> None:
    said, _ = made("one ", LONG, "two", silence=SHORT)

    assert (said.text, said.status, said.failure) == ("one ", "interrupted", None)
    assert isinstance(said.problem, GatewayTimeout)


def test_the_whole_answer_has_a_limit_of_its_own() -> None:
    said, _ = made(*_repeated(1_000, "word ", 0.05), whole=SHORT)

    assert said.status == "interrupted"
    assert said.text.startswith("word ")


def test_a_thought_is_a_sign_of_life() -> None:
    said, shown = made(*_repeated(10, "", 0.1), "word", first=0.6, silence=0.6)

    assert (said.status, shown) == ("stored", ["word"])


def test_an_answer_is_kept_up_to_what_a_message_holds() -> None:
    said, _ = made("x", *["12345678" * 1_000] * 20)

    assert len(said.text) == CONTENT_MOST
    assert (said.status, said.finish) == ("interrupted", Finish.LENGTH)


def test_an_answer_of_just_that_length_is_whole() -> None:
    said, _ = made("x" * CONTENT_MOST)

    assert (said.status, said.finish) == ("stored", None)


def test_blanks_wait_for_the_first_word() -> None:
    said, shown = made("\n", " ", "\nWords", " ")

    assert shown == ["\n \nWords", " "]
    assert said.status == "stored"


@pytest.mark.parametrize("finish", [None, *Finish])
def test_blanks_alone_are_no_answer(finish: Finish | None) -> None:
    said, shown = made("\n \u200b", *([finish] if finish else []))

    assert isinstance(said.failure, BadGateway)
    assert shown == []


def test_an_assistants_mistake_is_a_bad_gateway_and_keeps_what_was_said() -> None:
    said, _ = made("one ", TypeError("a mistake"))
    failed, _ = made(TypeError("a mistake"))

    assert (said.text, said.status) == ("one ", "interrupted")
    assert isinstance(failed.failure, BadGateway)


def test_the_old_limit_is_that_of_the_first_token_and_a_least_for_the_whole() -> None:
    known = Settings(_env_file=None, openai_timeout_seconds=900)

    assert Timeouts.of(known) == Timeouts(first=900, silence=900, whole=900)
    assert Timeouts.of(Settings(_env_file=None)) == Timeouts(first=60, silence=60, whole=600)


CALL = ToolCall("a", "look", "{}")
TOLD = {"type": "tool_call", "id": "a", "name": "look", "arguments": "{}"}


def test_parts_know_their_place_in_the_text() -> None:
    said, _, parts = told("\n", Reasoning("Hm."), "\n Words", CALL, " and more")

    assert parts == [{"type": "reasoning", "at": 0, "text": "Hm."}, {**TOLD, "at": 8}]
    assert (said.text, said.status) == ("\n\n Words and more", "stored")


def test_a_thought_is_told_before_the_words_that_follow_it() -> None:
    seen: list[str] = []
    generation = Generation(seen.append, lambda part: seen.append(part["type"]))
    script = Scripted("One", Reasoning("Hm."), " two")

    asyncio.run(generation.run(script, Timeouts(LONG, LONG, LONG), [], HELLO))

    assert seen == ["One", "reasoning", " two"]


def test_a_call_without_a_word_is_an_answer() -> None:
    said, shown, parts = told(CALL, Usage("m", 1, 2))

    assert (said.failure, said.status, shown) == (None, "stored", [])
    assert said.extra == {
        "format": "verbatim/1",
        "parts": parts,
        "model": "m",
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }


def test_thoughts_alone_are_no_answer_and_nobody_is_told_them() -> None:
    said, _, parts = told(Reasoning("Hm."))

    assert isinstance(said.failure, BadGateway)
    assert parts == []


def test_what_fails_after_a_call_keeps_it() -> None:
    said, _, parts = told(CALL, Reasoning("Hm."), BadGateway("it broke off"))

    assert (said.failure, said.status, said.text) == (None, "interrupted", "")
    assert parts == [{**TOLD, "at": 0}, {"type": "reasoning", "at": 0, "text": "Hm."}]


def test_an_answer_that_is_stopped_keeps_its_last_thought() -> None:
    async def stopped() -> tuple[Generation, list[Part]]:
        parts: list[Part] = []
        generation = Generation(tell=parts.append)
        script = Scripted(CALL, Reasoning("Hm."), LONG)
        running = asyncio.create_task(generation.run(script, Timeouts(LONG, LONG, LONG), [], HELLO))
        await script.pauses.wait()
        running.cancel()
        await asyncio.wait([running])
        return generation, parts

    said, parts = asyncio.run(stopped())

    assert said.extra == {"format": "verbatim/1", "parts": parts}
    assert [part["type"] for part in parts] == ["tool_call", "reasoning"]


def test_a_thought_and_a_call_are_signs_of_life() -> None:
    said, _ = made(*_repeated(5, Reasoning("Hm."), 0.1, CALL, 0.1), "word", first=0.6, silence=0.6)

    assert said.status == "stored"
