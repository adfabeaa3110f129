"""What is sent to a model has the shape that the strictest provider takes."""

from hypothesis import given
from hypothesis import strategies as st

from api.chat.assistants.prompt import prompt
from api.core.text import is_blank
from api.core.turns import File, TurnMessage

TURNS = st.lists(
    st.builds(
        TurnMessage, st.sampled_from(["user", "assistant"]), st.sampled_from(["", " ", "a", "b"])
    )
)


@given(TURNS)
def test_roles_take_turns_a_user_begins_and_ends_and_nothing_is_empty(
    recent: list[TurnMessage],
) -> None:
    sent = prompt(recent, "Hello")

    roles = [message["role"] for message in sent]
    assert roles == [("user", "assistant")[place % 2] for place in range(len(sent))]
    assert roles[-1] == "user"
    assert not any(is_blank(str(message.get("content"))) for message in sent)


def test_a_failed_turn_and_a_stopped_one_leave_one_message_of_the_user() -> None:
    recent = [
        TurnMessage("user", "Buy milk"),
        TurnMessage("assistant", ""),
        TurnMessage("user", "Please"),
    ]

    assert prompt(recent, "Hello?") == [{"role": "user", "content": "Buy milk\n\nPlease\n\nHello?"}]


def test_what_is_in_shape_stays_as_it_is() -> None:
    recent = [TurnMessage("user", "Buy milk"), TurnMessage("assistant", " Noted.\n")]

    assert prompt(recent, " And bread ") == [
        {"role": "user", "content": "Buy milk"},
        {"role": "assistant", "content": " Noted.\n"},
        {"role": "user", "content": " And bread "},
    ]


def test_instructions_come_first_and_nothing_else_changes() -> None:
    recent = [
        TurnMessage("system", "Be brief."),
        TurnMessage("assistant", "Of what was cut off"),
        TurnMessage("user", "Buy milk"),
    ]

    assert prompt(recent, "Hello?") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Buy milk\n\nHello?"},
    ]


def test_files_of_both_kinds_are_joined_as_words_are() -> None:
    image = File("a.png", "image/png", b"\x89PNG")
    recent = [
        TurnMessage("user", "", files=(image, File("b.txt", "text/plain", b"b"))),
        TurnMessage("assistant", ""),
    ]
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}}
    words = "[Beginning of the file b.txt]\nb\n[End of the file b.txt]\n\nHello?"

    assert prompt(recent, "Hello?") == [
        {"role": "user", "content": [{"type": "text", "text": words}, part]}
    ]
    assert prompt([], "", [image]) == [{"role": "user", "content": [part]}]
    assert prompt([], "Hi", [image], with_images=False) == [
        {"role": "user", "content": "Hi\n\n[A file that you cannot see: a.png]"}
    ]
