from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cli.replay import dialogues
from api.cli.replay.dialogues import (
    Dialogue,
    DialogueError,
    SentDialogue,
    SentMessage,
    StoredMessage,
    compare,
    digest,
)

DATA = Path(__file__).parents[1] / "data" / "dialogues.jsonl"
SECRET = "the patient's own words"


def sent(*contents: str) -> SentDialogue:
    message = tuple(SentMessage(role="user", content=content) for content in contents)
    return SentDialogue(
        Dialogue(messages=message), 100, [101 + place for place in range(len(contents))]
    )


def stored(original: SentDialogue) -> list[StoredMessage]:
    """Return the messages that a correct server reads back."""
    return [
        StoredMessage(
            id=id_, position=place, role=message.role, content=message.content, status="stored"
        )
        for place, (id_, message) in enumerate(
            zip(original.ids, original.dialogue.messages, strict=True), start=1
        )
    ]


def found(
    original: SentDialogue, read: list[StoredMessage], total: int | None = None
) -> list[tuple[int, str]]:
    differences = compare(original, read, len(read) if total is None else total)
    assert all(difference.conversation_id == 100 for difference in differences)
    assert not any(SECRET in difference.what for difference in differences)
    return [(difference.position, difference.what) for difference in differences]


@given(st.lists(st.text(min_size=1), max_size=5))
def test_an_exact_copy_has_no_difference(contents: list[str]) -> None:
    original = sent(*contents)

    assert found(original, stored(original)) == []
    assert digest(original.dialogue.messages) == digest(stored(original))


def test_a_lost_message_is_found() -> None:
    original = sent("a", "b", "c")
    read = stored(original)
    del read[1]

    assert (2, "message 102 is lost") in found(original, read)


def test_a_lost_last_message_is_found_although_the_count_agrees() -> None:
    original = sent("a", "b")

    assert found(original, stored(original)[:1], total=2) == [(2, "message 102 is lost")]


def test_a_count_that_disagrees_is_found() -> None:
    original = sent("a", "b")

    assert found(original, stored(original), total=3) == [
        (2, "2 messages were accepted, the server counts 3")
    ]


def test_two_messages_in_the_wrong_order_are_found() -> None:
    original = sent("a", "b")
    first, second = stored(original)
    read = [second.model_copy(update={"position": 1}), first.model_copy(update={"position": 2})]

    assert found(original, read) == [
        (1, "message 102 was sent as number 2"),
        (2, "message 101 was sent as number 1"),
    ]


def test_a_message_stored_twice_is_found() -> None:
    original = sent("a", "b")
    read = stored(original)
    read.append(read[1].model_copy(update={"position": 3}))

    assert (2, "message 102 is stored more than once") in found(original, read)


def test_a_message_that_was_never_sent_is_found() -> None:
    original = sent("a")
    read = stored(original)
    read.append(read[0].model_copy(update={"id": 999, "position": 2, "content": SECRET}))

    assert (2, "message 999 was never sent") in found(original, read)


def test_one_id_answered_for_two_messages_is_found() -> None:
    original = sent("a", "b")
    original.ids = [101, 101]

    assert (2, "id 101 was answered 2 times") in found(original, stored(original)[:1])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"role": "assistant"}, "has another role"),
        ({"status": "unavailable"}, "is unavailable"),
        ({"position": 7}, "claims position 7"),
        ({"content": SECRET.upper()}, "has another content"),
        ({"content": SECRET + " "}, "has another content"),
    ],
)
def test_an_altered_message_is_found_without_its_text(change: dict[str, object], what: str) -> None:
    original = sent(SECRET)
    read = [stored(original)[0].model_copy(update=change)]

    ((position, told),) = found(original, read)

    assert position == 1
    assert what in told


def test_composed_and_decomposed_characters_differ() -> None:
    original = sent("\u00e9")
    read = [stored(original)[0].model_copy(update={"content": "e\u0301"})]

    assert len(found(original, read)) == 1


def test_the_digest_depends_on_where_a_message_ends() -> None:
    def messages(*contents: str) -> list[SentMessage]:
        return [SentMessage(role="user", content=content) for content in contents]

    assert digest(messages("ab", "c")) != digest(messages("a", "bc"))


def test_the_sample_dialogues_are_read() -> None:
    read = dialogues.read(DATA)

    assert len(read) == 20
    assert sum(len(dialogue.messages) for dialogue in read) == 344
    assert dialogues.read(DATA, limit=2) == read[:2]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "line 2 is not a dialogue"),
        (b'{"messages": [{"role": "system", "content": "x"}]}', "line 2 is not a dialogue"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_a_line_that_is_not_a_dialogue_is_named(tmp_path: Path, line: bytes, reason: str) -> None:
    file = tmp_path / "dialogues.jsonl"
    file.write_bytes(b'{"messages": []}\n' + line)

    with pytest.raises(DialogueError, match=reason):
        dialogues.read(file)


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "dialogues.jsonl"
    file.touch()

    with pytest.raises(DialogueError, match="contains no dialogue"):
        dialogues.read(file)
