"""The limits of an answer: to its first token, from token to token, for all of it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from api.chat.assistants.protocol import Finish
from api.chat.generation import Generation, Timeouts
from api.core.errors import BadGateway, GatewayTimeout
from api.core.settings import Settings
from api.core.text import CONTENT_MOST
from api.core.turns import TurnMessage

LONG = 30.0
#: Long enough for a machine that is busy, and short for a test.
SHORT = 0.3


Step = str | float | Finish | Exception


class Scripted:
    """Says pieces; a number is a pause, an exception is raised."""

    def __init__(self, *script: Step) -> None:
        self._script = script

    async def answer(
        self, _recent: Sequence[TurnMessage], _message: str
    ) -> AsyncGenerator[str | Finish]:
        for step in self._script:
            if isinstance(step, float):
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
    shown: list[str] = []
    generation = Generation(shown.append)
    timeouts = Timeouts(first=first, silence=silence, whole=whole)
    asyncio.run(generation.run(Scripted(*script), timeouts, [], "Hello"))
    assert "".join(shown) == generation.text
    return generation, shown


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
