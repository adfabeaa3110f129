"""`clients/python`: what its calls do and what they return, against a running server."""

from collections.abc import Iterator
from contextlib import closing
from inspect import signature
from typing import Any

import pytest

from tests.clients.both import connected
from tests.support.api import PASSWORD, Api
from verbatim_client import (
    AsyncClient,
    Client,
    Conflict,
    Forbidden,
    NewMessage,
    NotAllowed,
    NotFound,
    NotSignedIn,
    Problem,
)

pytestmark = pytest.mark.usefixtures("drained")


def said(number: int) -> NewMessage:
    return {"role": "user", "content": f"message {number}"}


def contents(client: Client, conversation: int | str) -> list[str]:
    return [message.content for message in client.messages(conversation)]


def test_a_conversation_is_opened_once_changed_listed_forked_and_deleted(client: Client) -> None:
    opened = client.open_conversation(external_id="order/7", metadata={"a": [1]}, tags=["open"])
    again = client.open_conversation(external_id="order/7", title="left aside")
    client.change_conversation("order/7", title="An order", tags=[], archived=True)
    client.add_messages("order/7", [said(1), said(2)])
    assert contents(client, "order/7") == ["message 1", "message 2"]
    copy = client.fork("order/7", 1, title="A copy")

    read = client.conversation("order/7")
    listed = {one.id: one for one in client.conversations(page_size=1)}
    client.delete_conversation(opened.id)

    assert again.id == opened.id == read.id
    assert (read.title, read.tags, read.metadata) == ("An order", None, {"a": [1]})
    assert read.archived_at is not None
    assert listed.keys() == {opened.id, copy.id}
    assert [one.id for one in client.conversations(q="copy")] == [copy.id]
    assert contents(client, copy.id) == ["message 1"]
    with pytest.raises(NotFound):
        client.conversation(opened.id)


def test_messages_are_added_changed_deleted_cut_off_and_brought_back(client: Client) -> None:
    conversation = client.open_conversation().id
    one = client.add_message(conversation, "user", "one", external_id="m/1", extra={"n": None})
    batch = client.add_messages(conversation, [said(2), said(3), said(4)], if_last=one.id)
    client.put_message(conversation, "m/1", content="first", extra=None)
    client.delete_message(conversation, batch.messages[0].id)
    cut = client.truncate(conversation, batch.messages[1].id, keep=True)

    first, second = client.messages(conversation)
    (aside,) = client.branches(conversation)
    client.switch(conversation, cut.entry_id, if_last=second.id)

    assert (first.content, first.extra, first.external_id) == ("first", None, "m/1")
    assert (second.content, second.status) == ("", "deleted")
    assert (aside.id, aside.messages, aside.fits) == (cut.entry_id, 2, True)
    assert contents(client, conversation) == ["first", "", "message 3", "message 4"]
    found = client.find_message(conversation, "m/1")
    assert found is not None
    assert found.id == first.id
    assert client.find_message(conversation, "m/2") is None


def test_lists_go_on_page_after_page_in_both_directions(client: Client) -> None:
    conversation = client.open_conversation().id
    client.add_messages(conversation, [said(number) for number in range(10)])

    upwards = [one.position for one in client.messages(conversation, page_size=3)]
    rest = [one.position for one in client.messages(conversation, after=7, page_size=2)]
    downwards = [one.position for one in client.latest_messages(conversation, page_size=3)]
    earlier = [one.position for one in client.latest_messages(conversation, before=3, page_size=1)]

    assert upwards == list(range(1, 11))
    assert rest == [8, 9, 10]
    assert downwards == upwards[::-1]
    assert earlier == [2, 1]


def test_a_read_includes_what_the_client_has_just_written(client: Client) -> None:
    conversation = client.open_conversation().id

    for number in range(20):
        client.add_message(conversation, "user", str(number))
        assert contents(client, conversation) == [str(one) for one in range(number + 1)]


def test_extra_comes_back_as_it_went_with_nul_and_half_a_surrogate_pair(client: Client) -> None:
    conversation = client.open_conversation().id
    extra: dict[str, Any] = {"a": "\0 \ud83d \u2028", "b": [1.5, None, {"c": "ä"}]}

    client.add_message(conversation, "tool", extra=extra)

    (message,) = client.messages(conversation)
    assert message.extra == extra
    (bare,) = client.messages(conversation, extra=False)
    assert bare.extra is None


def test_each_person_a_program_acts_for_has_conversations_of_their_own(
    client: Client, kind: str
) -> None:
    bob, zoe = client.acting_for(f"Bob {kind}"), client.acting_for(f"Zoë 🦊 {kind}")
    opened = zoe.open_conversation(title="hers")

    assert [one.id for one in zoe.conversations()] == [opened.id]
    assert list(bob.conversations()) == []
    assert zoe.me().id == opened.user_id != bob.me().id
    with pytest.raises(NotFound):
        bob.conversation(opened.id)
    zoe.delete_account()


def test_messages_are_found_by_their_words_page_after_page(client: Client) -> None:
    trip = client.open_conversation(title="Zürich", tags=["trip"]).id
    other = client.open_conversation().id
    client.add_messages(trip, [{"role": "user", "content": f"zurich {n}"} for n in range(4)])
    client.add_message(other, "assistant", "Rain in Zürich")

    def found(query: str, **options: Any) -> list[tuple[int, int]]:
        hits = client.search(query, page_size=2, **options)
        return sorted((hit.conversation_id, hit.position) for hit in hits)

    everything = [*((trip, position) for position in range(5)), (other, 1)]
    assert found("zurich") == everything
    assert found("zurich", order="time") == everything
    assert found("zurich -rain", role="user", conversation=trip) == everything[1:5]
    assert found("rain", tag="trip") == []
    assert found("rain", from_time="2999-01-01T00:00:00Z") == []
    (hit,) = client.search('"rain in"')
    assert (hit.role, hit.title, hit.snippet) == ("assistant", None, "Rain in Zürich")
    assert [hit.snippet[start:end] for start, end in hit.marks] == ["Rain", "in"]


def test_an_account_is_made_and_makes_keys_that_may_do_what_they_are_for(
    api: Api, kind: str
) -> None:
    name = f"maker-{kind}"
    with connected(kind, api.url) as nobody:
        nobody.register(name, f"{name}@example.com", PASSWORD)
    with connected(kind, api.url, username=name, password=PASSWORD) as maker:
        made = maker.make_key("to read", scopes=["read"])
        with connected(kind, api.url, made.key) as reading:
            with pytest.raises(Forbidden) as refused:
                reading.open_conversation()
            assert refused.value.idempotency_key
            assert list(reading.conversations()) == []
            assert reading.me().username == name
        (shown,) = maker.keys()
        assert shown.id == made.id
        maker.revoke_key(made.id)
        assert maker.keys() == []


def test_an_error_has_its_class_and_the_fields_of_the_problem(client: Client) -> None:
    conversation = client.open_conversation().id
    message = client.add_message(conversation, "user", "one")

    with pytest.raises(Conflict) as conflict:
        client.add_message(conversation, "user", "two", if_last=0)
    with pytest.raises(NotAllowed) as refused:
        client.add_messages(conversation, [said(1), {"role": "nobody", "content": "x"}])

    assert conflict.value.status == 409
    assert conflict.value.detail in str(conflict.value)
    assert [error["field"] for error in refused.value.errors] == ["messages.1.role"]
    assert [one.id for one in client.messages(conversation)] == [message.id]


def test_a_wrong_key_or_password_is_an_error_at_once(api: Api, kind: str) -> None:
    with connected(kind, api.url, "vbk_of_nobody") as client, pytest.raises(NotSignedIn):
        client.me()
    with (
        connected(kind, api.url, username="nobody", password="wrong") as client,
        pytest.raises(NotSignedIn),
    ):
        client.me()
    with pytest.raises(TypeError):
        Client(api.url, username="ada")


def test_a_chat_session_answers_is_read_back_and_ends(client: Client) -> None:
    chat = client.start_chat()
    first = client.say(chat.session_id, "one")
    client.say(chat.session_id, "two", replaces=first.message_id, extra={"form": [1]})
    again = client.regenerate(chat.session_id)

    said = list(client.history(chat.session_id, page_size=1))
    ended = client.end_chat(chat.session_id)

    asked = next(client.messages(again.conversation_id))
    assert [one.content for one in said] == ["two", again.response]
    assert (asked.content, asked.extra) == ("two", {"form": [1]})
    assert [one.sender for one in said] == ["user", "ai"]
    assert client.turns(chat.session_id) == []
    assert client.stop(chat.session_id) == []
    assert ended.session_id == chat.session_id
    with pytest.raises(Conflict):
        client.say(chat.session_id, "three")


def public(kind: type) -> Iterator[tuple[str, str]]:
    for name in dir(kind):
        if not name.startswith("_"):
            yield name, str(signature(getattr(kind, name))).partition(" ->")[0]


def test_both_clients_have_the_same_methods() -> None:
    assert list(public(Client)) == list(public(AsyncClient))


def test_a_page_that_is_no_problem_document_is_an_error_too(api: Api) -> None:
    with closing(Client(api.url + "/nowhere")) as client, pytest.raises(Problem) as error:
        client.me()

    assert error.value.status == 404
