"""What the repositories answer: the owner's own rows, whole, in one statement a call."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlmodel import Session

from api.accounts.repositories import UserRepository
from api.core import ids
from api.core.database import reading, writing
from api.core.errors import Conflict
from api.reads import message_pages
from api.reads.branches import BranchRepository
from api.reads.conversations import ConversationRepository, ConversationState
from api.reads.items import ItemRepository
from api.reads.message_pages import Part
from api.reads.messages import MessageRepository
from api.reads.partitions import PartitionRepository
from tests.support.pages import Page, chatted, lined, listed, paged
from tests.support.rows import NOON, add_conversation, add_messages, add_user, statements

Call = Callable[[Session, int], Any]

#: Every read of chat data, as (call, what a stranger gets). Conversation 37, message 53.
READS: dict[str, tuple[Call, Any]] = {
    "ConversationRepository.get": (lambda s, o: ConversationRepository(s).get(o, 37), None),
    "ConversationRepository.following": (
        lambda s, o: ConversationRepository(s).following(o, 0, limit=5),
        [],
    ),
    "ConversationRepository.state": (
        lambda s, o: ConversationRepository(s).state(o, 37),
        None,
    ),
    "ConversationRepository.named": (
        lambda s, o: ConversationRepository(s).named(o, "thread-37"),
        None,
    ),
    "ConversationRepository.tags": (
        lambda s, o: ConversationRepository(s).tags(o, archived=None),
        [],
    ),
    "listed": (lambda s, o: listed(s, o, limit=5), Page([], 0)),
    "MessageRepository.get": (lambda s, o: MessageRepository(s).get(o, 37, 53), None),
    "MessageRepository.aside": (lambda s, o: MessageRepository(s).aside(o, 37, 4096), None),
    "MessageRepository.last_of_user": (
        lambda s, o: MessageRepository(s).last_of_user(o, 37),
        None,
    ),
    "paged": (lambda s, o: paged(s, o, 37, limit=5), None),
    "paged, with branches": (lambda s, o: paged(s, o, 37, limit=5, is_plain=False), None),
    "lined": (lambda s, o: lined(s, o, 37, limit=5), None),
    "chatted": (lambda s, o: chatted(s, o, 37, limit=5), None),
    "chatted, not plain": (lambda s, o: chatted(s, o, 37, limit=5, is_plain=False), None),
    "MessageRepository.known_names": (
        lambda s, o: MessageRepository(s).known_names(o, 37, ["ext", "other"]),
        set(),
    ),
    "BranchRepository's named": (lambda s, o: BranchRepository(s).named(o, 37, ["ext"]), None),
    "MessageRepository.count_until": (
        lambda s, o: MessageRepository(s).count_until(o, 37, ids.MAX_ID),
        0,
    ),
    "MessageRepository.recent_turns": (
        lambda s, o: MessageRepository(s).recent_turns(o, 37, limit=9, most_bytes=9),
        ([], 0),
    ),
}

OTHER_READS: dict[str, Call] = {
    "PartitionRepository.last_id": lambda s, _: PartitionRepository(s).last_id(5),
    "PartitionRepository.all": lambda s, _: PartitionRepository(s).all(),
    "PartitionRepository.last_ids": lambda s, _: PartitionRepository(s).last_ids(),
    "PartitionRepository.not_reached": lambda s, _: PartitionRepository(s).not_reached([101]),
    "UserRepository.by_id": lambda s, o: UserRepository(s).by_id(o),
    "UserRepository.by_name": lambda s, _: UserRepository(s).by_name("alice"),
}


@pytest.fixture
def alice(engine: Engine) -> int:
    owner = add_user(engine, "alice")
    add_conversation(engine, owner, 37, title="Alice's", external_id="thread-37")
    add_messages(engine, owner, 37, ["one", "two", "three", "four"])
    with engine.begin() as connection:
        connection.execute(text("UPDATE conversation SET tags = ARRAY['work']"))
        connection.execute(text("UPDATE message SET external_id = 'ext' WHERE position = 1"))
        connection.execute(
            text("""
                INSERT INTO message_aside (id, conversation_id, user_id, position, role, content,
                    status, created_at, branch_id, aside_at)
                SELECT 4096, conversation_id, user_id, 4, role, 'aside', status, created_at,
                    1, now()
                FROM message WHERE position = 1
            """)
        )
    return owner


@pytest.fixture
def bob(engine: Engine) -> int:
    return add_user(engine, "bob")


def contents(page: Page | None) -> list[str]:
    assert page is not None
    return [message.content for message in page.rows]


def test_the_tests_below_know_every_read() -> None:
    public = {
        f"{repository.__name__}.{name}"
        for repository in (
            ConversationRepository,
            MessageRepository,
            PartitionRepository,
            UserRepository,
        )
        for name, _ in inspect.getmembers(repository, inspect.isfunction)
        if not name.startswith("_")
    }

    assert (
        public
        - {
            *("UserRepository.add", "UserRepository.has_password"),
            *("UserRepository.replace_password", "UserRepository.expire"),
            "UserRepository.rename",
        }
        == {name for name in READS if "Repository." in name} | OTHER_READS.keys()
    )


@pytest.mark.parametrize("name", READS)
def test_the_owner_finds_what_a_stranger_does_not(
    engine: Engine, alice: int, bob: int, name: str
) -> None:
    call, nothing = READS[name]

    with reading(engine) as session:
        assert call(session, bob) == nothing
        assert call(session, alice) != nothing


@pytest.mark.parametrize("name", [n for n in READS if n != "ConversationRepository.state"])
def test_a_deleted_conversation_is_gone_for_its_owner_too(
    engine: Engine, alice: int, name: str
) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE conversation SET deleted_at = now()"))
    call, nothing = READS[name]

    with reading(engine) as session:
        assert call(session, alice) == nothing


@pytest.mark.parametrize("name", [*READS, *OTHER_READS])
def test_a_read_is_one_statement(engine: Engine, alice: int, name: str) -> None:
    call = OTHER_READS[name] if name in OTHER_READS else READS[name][0]

    with reading(engine) as session, statements(engine) as sent:
        call(session, alice)

    assert len(sent) == 1


def test_a_message_is_found_in_its_own_conversation_only(engine: Engine, alice: int) -> None:
    add_conversation(engine, alice, 38)

    with reading(engine) as session:
        assert MessageRepository(session).get(alice, 38, 53) is None


def test_the_state_tells_open_closed_and_deleted_apart(engine: Engine, alice: int) -> None:
    add_conversation(engine, alice, 38, closed_at=NOON)
    add_conversation(engine, alice, 39, deleted_at=NOON)

    with reading(engine) as session:
        state = ConversationRepository(session).state
        assert state(alice, 37) == ConversationState(
            alice, closed=False, deleted=False, external_id="thread-37"
        )
        assert state(alice, 38) == ConversationState(alice, closed=True, deleted=False)
        assert state(alice, 39) == ConversationState(alice, closed=False, deleted=True)
        assert state(alice, 40) is None


@pytest.mark.parametrize(
    ("offset", "order", "expected"),
    [
        (0, "asc", ["one", "two"]),
        (1, "asc", ["two", "three"]),
        (3, "asc", ["four"]),
        (4, "asc", []),
        (0, "desc", ["four", "three"]),
        (1, "desc", ["three", "two"]),
        (3, "desc", ["one"]),
        (4, "desc", []),
    ],
)
def test_a_page_leaves_out_its_offset_and_knows_the_total(
    engine: Engine, alice: int, offset: int, order: Any, expected: list[str]
) -> None:
    with reading(engine) as session:
        part: Part = "after" if order == "asc" else "but_latest"
        page = paged(session, alice, 37, part, offset, limit=2, order=order)

    assert contents(page) == expected
    assert page is not None
    assert page.total == 4


def test_after_and_before_take_the_nearest_in_either_order(engine: Engine, alice: int) -> None:
    with reading(engine) as session:
        after = paged(session, alice, 37, "after", 1, limit=2)
        after_reversed = paged(session, alice, 37, "after", 1, limit=2, order="desc")
        before = paged(session, alice, 37, "before", 4, limit=2)
        before_reversed = paged(session, alice, 37, "before", 4, limit=2, order="desc")

    assert contents(after) == ["two", "three"]
    assert contents(after_reversed) == ["three", "two"]
    assert contents(before) == ["two", "three"]
    assert contents(before_reversed) == ["three", "two"]


def test_the_latest_of_a_chat_come_oldest_first(engine: Engine, alice: int) -> None:
    with reading(engine) as session:
        latest = chatted(session, alice, 37, limit=3)

    assert contents(latest) == ["two", "three", "four"]


def test_an_empty_conversation_has_an_empty_page(engine: Engine, alice: int) -> None:
    add_conversation(engine, alice, 38)

    with reading(engine) as session:
        assert paged(session, alice, 38, limit=3) == Page([], 0)
        assert chatted(session, alice, 38, limit=3) == Page([], 0)


def test_recent_turns_leave_out_what_is_unavailable_and_say_how_far_they_reach(
    engine: Engine, alice: int
) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE message SET status = 'unavailable', content = '' WHERE position = 3")
        )
        connection.execute(text("UPDATE log_partition SET last_id = 101 WHERE id = 37 & 15"))

    with reading(engine) as session:
        messages = MessageRepository(session)
        turns, reach = messages.recent_turns(alice, 37, limit=2, most_bytes=99)
        _, reach_of_unknown = messages.recent_turns(alice, 53, limit=2, most_bytes=99)

    assert [message.content for message in turns] == ["two", "four"]
    assert reach == reach_of_unknown == 101


def test_what_is_far_from_either_end_of_a_conversation_is_found(engine: Engine, alice: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO message (id, conversation_id, user_id, position, role, content, status,
                    created_at)
                SELECT 1600 + 16 * p, 37, :owner, p, 'user', '', 'deleted', now()
                FROM generate_series(5, 104) AS p
            """),
            {"owner": alice},
        )
        connection.execute(text("UPDATE conversation SET message_count = 104"))
        shown = text("UPDATE message SET content = 'five', status = 'stored' WHERE position = :p")
        connection.execute(shown, {"p": 54})

    with reading(engine) as session:
        messages, items = MessageRepository(session), ItemRepository(session)
        turns, _ = messages.recent_turns(alice, 37, limit=3, most_bytes=99)
        before, _ = messages.recent_turns(alice, 37, limit=3, most_bytes=99, before=54)
        last = messages.last_of_user(alice, 37)
        pages = [items.page(alice, 37, None, order, 5) for order in ("asc", "desc")]
        after = items.page(alice, 37, 1600 + 16 * 54, "desc", 2)

    assert [message.content for message in turns] == ["three", "four", "five"]
    assert [message.content for message in before] == ["two", "three", "four"]
    assert last is not None
    assert last.content == "five"
    asc, desc = ([item.content for item in page.items] for page in pages if page)
    assert asc == desc[::-1] == ["one", "two", "three", "four", "five"]
    assert after is not None
    assert [item.content for item in after.items] == ["four", "three"]
    assert after.has_more


def test_the_partitions_are_read_in_order(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE log_partition SET last_id = 101 WHERE id = 5"))

    with reading(engine) as session:
        partitions = PartitionRepository(session).all()
        assert PartitionRepository(session).last_id(5) == 101
        assert PartitionRepository(session).last_ids() == [101 if n == 5 else 0 for n in range(16)]
        assert PartitionRepository(session).not_reached([101, 117, 118]) == {117, 118}

    assert [(p.id, p.last_id) for p in partitions] == [(n, 101 * (n == 5)) for n in range(16)]


@pytest.mark.parametrize(
    ("username", "email"), [("ALICE", "new@example.org"), ("carol", "Alice@Example.ORG")]
)
def test_a_name_or_address_is_taken_in_upper_and_lower_case(
    engine: Engine, alice: int, username: str, email: str
) -> None:
    with writing(engine) as session:
        users = UserRepository(session)

        with pytest.raises(Conflict):
            users.add(username, email, "")
        dora = users.add("dora", "dora@example.org", "hash")

    with reading(engine) as session:
        found = UserRepository(session).by_name("Dora")
        assert found is not None
        assert (found.id, found.username, found.password_hash) == (dora.id, "dora", "hash")
        assert UserRepository(session).by_id(dora.id) is found
        assert UserRepository(session).by_name(username if username == "carol" else "x") is None


SCRIPTS = {
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇺🇳 ☺︎☺️",
    "astral": "𝄞 𐤀 𓂀 \U0010fffd",
    "right to left": "שלום עולם \u202eمرحبا\u202c \u200f!",  # noqa: RUF001 - Arabic is meant
    "combining": "e\u0301\u0323 Z\u0351\u036b\u0343a\u0328\u0301",
    "composed": "é — and decomposed e\u0301: two different texts",
    "hangul and indic": "한글 각 हिन्दी தமிழ்",
    "invisible": "\ufeff\u200b\u200d\u00ad\u2028\u2029\u0085",
    "controls": "\x01\x1b[31m\x7f\t\r\n\n",
    "spaces kept": "  leading and trailing \n ",
    "not characters": "\uffff \ufdd0 \U0001ffff",
    "quoting": "'; DROP TABLE message; -- \\' %s %(x)s :y {} \\x00",
    "long": "🧵" * 100_000,
}


@pytest.mark.parametrize("written", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_a_text_comes_back_as_it_was_written(engine: Engine, written: str) -> None:
    owner = add_user(engine, "alice")
    add_conversation(engine, owner, 37, title=written)
    add_messages(engine, owner, 37, [written])

    with reading(engine) as session:
        conversation = ConversationRepository(session).get(owner, 37)
        message = MessageRepository(session).get(owner, 37, 53)

    assert conversation is not None
    assert message is not None
    assert conversation.title == message.content == written


#: Of five bytes each, in UTF-8, whatever they are.
FIVES = ["ééa", "abcde", "🥛x", "four ", "", "", "over1", "over2"]


def test_a_page_ends_where_its_contents_reach_a_size_and_nothing_is_missed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_pages, "PAGE_MOST_BYTES", 11)
    owner = add_user(engine, "alice")
    add_conversation(engine, owner, 37)
    add_messages(engine, owner, 37, FIVES)

    with reading(engine) as session:
        page = partial(paged, session, owner, 37, limit=100, is_plain=False)
        first = page()
        latest = page("but_latest")
        downwards = page("but_latest", 1, order="desc")
        before = page("before", 5)
        following, position = [], 0
        while found := contents(page("after", position)):
            following.append(found)
            position += len(found)
        lines = lined(session, owner, 37, limit=100)
        chat = chatted(session, owner, 37, limit=100, offset=0, is_plain=False)

    assert contents(first) == FIVES[:2]
    assert contents(latest) == FIVES[4:]
    assert contents(downwards) == FIVES[6:2:-1]
    assert contents(before) == FIVES[2:4]
    assert following == [FIVES[:2], FIVES[2:6], FIVES[6:]]
    assert first
    assert first.total == len(FIVES)
    assert lines is not None
    assert (lines.messages, lines.last) == (2, 2)
    assert contents(chat) == FIVES[:2]


def test_a_message_larger_than_a_page_is_a_page(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_pages, "PAGE_MOST_BYTES", 3)
    owner = add_user(engine, "alice")
    add_conversation(engine, owner, 37)
    add_messages(engine, owner, 37, ["large", "larger"])

    with reading(engine) as session:
        pages = [paged(session, owner, 37, "after", p, limit=9, is_plain=False) for p in (0, 1)]

    assert [contents(page) for page in pages] == [["large"], ["larger"]]
