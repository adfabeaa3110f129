"""What becomes of each trap in other programs' files: small files, made for it."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest

from api.cli.imports.form import Conversation, Message, lines_of
from api.cli.imports.formats import format_of, read_conversations
from api.cli.imports.json_items import read_items
from api.cli.imports.limits import EXTRA_MOST_BYTES
from api.cli.imports.report import Report
from api.core.text import CONTENT_MOST, TITLE_MOST

T0 = 1_700_000_000.5
AT = datetime.fromtimestamp(T0, UTC)


def read(*items: Any, name: str = "auto") -> tuple[list[Conversation], Report]:
    report = Report(file="export.json")
    file = BytesIO(json.dumps(list(items)).encode())
    return list(read_conversations(read_items(file.read, report), name, report)), report


def read_one(item: Any) -> tuple[Conversation, Report]:
    (found,), report = read(item)
    list(lines_of(found))  # it can be sent
    return found, report


def said(conversation: Conversation) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in conversation.messages]


def parts(message: Message) -> list[dict[str, Any]]:
    assert message.extra is not None
    assert message.extra["format"] == "verbatim/1"
    found: list[dict[str, Any]] = message.extra["item"]["parts"]
    return found


# ChatGPT


def node(key: str, parent: str | None, role: str = "", *texts: Any, **more: Any) -> dict[str, Any]:
    message = {
        "id": key,
        "author": {"role": role, "name": more.pop("tool", None)},
        "create_time": T0,
        "content": more.pop("content", {"content_type": "text", "parts": list(texts)}),
        "status": "finished_successfully",
        "recipient": "all",
        **more,
    }
    return {"id": key, "parent": parent, "message": message if role else None, "children": []}


def chatgpt(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "conversation_id": "c1",
        "title": "Trains",
        "create_time": T0,
        "update_time": T0 + 60,
        "mapping": {one["id"]: one for one in nodes},
        "current_node": nodes[-1]["id"] if nodes else None,
        **more,
    }


ROOT = node("root", None)
ASKED = node("q", "root", "user", "When?")
TOLD = node("a", "q", "assistant", "At nine.")


def test_a_conversation_of_chatgpt_is_what_its_reader_saw() -> None:
    found, report = read_one(
        chatgpt(ROOT, ASKED, TOLD, is_archived=True, pinned_time=T0, default_model_slug="gpt-9")
    )

    assert said(found) == [("user", "When?"), ("assistant", "At nine.")]
    assert (found.external_id, found.title) == ("chatgpt:c1", "Trains")
    assert [message.external_id for message in found.messages] == ["q", "a"]
    assert (found.created_at, found.messages[0].created_at) == (AT, AT)
    assert (found.archived, found.pinned) == (True, True)
    assert found.metadata == {"source": "chatgpt", "model": "gpt-9"}
    assert (found.messages[1].extra, report.left_out) == (None, {})


BRANCHES = (ROOT, ASKED, node("a1", "q", "assistant", "At ten."), TOLD)


@pytest.mark.parametrize(
    ("item", "expected", "left_out"),
    [
        pytest.param(
            chatgpt(*BRANCHES),
            ["When?", "At nine."],
            {"message of another branch": 1},
            id="a branch that is not shown is counted",
        ),
        pytest.param(
            chatgpt(*BRANCHES, current_node="a1"),
            ["When?", "At ten."],
            {"message of another branch": 1},
            id="the current node tells which branch is shown, not the order",
        ),
        pytest.param(
            chatgpt(*BRANCHES, current_node="nowhere"),
            ["When?", "At nine."],
            {"message of another branch": 1},
            id="where the current node dangles, the newest leaf is shown",
        ),
        pytest.param(
            chatgpt(ROOT, ASKED, TOLD, current_node=None),
            ["When?", "At nine."],
            {},
            id="where there is no current node, too",
        ),
        pytest.param(
            chatgpt(node("q", "a", "user", "When?"), TOLD),
            ["When?", "At nine."],
            {},
            id="a circle is gone through once",
        ),
        pytest.param(
            chatgpt(node("q", "lost", "user", "When?"), TOLD),
            ["When?", "At nine."],
            {},
            id="a parent that is not there begins the conversation",
        ),
        pytest.param(
            chatgpt(
                ROOT,
                node("s", "root", "system", "Be brief."),
                node(
                    "h", "s", "user", "x", metadata={"is_visually_hidden_from_conversation": True}
                ),
                node("w", "h", "assistant", "y", weight=0),
                node("q", "w", "user", "When?"),
                TOLD,
            ),
            ["When?", "At nine."],
            {"hidden message, or one of the system": 3},
            id="what was hidden stays so",
        ),
        pytest.param(
            chatgpt(ROOT, ASKED, node("e", "q", "assistant", "")),
            ["When?"],
            {"empty message": 1},
            id="an empty message is none",
        ),
    ],
)
def test_of_a_tree_of_chatgpt_one_path_is_taken(
    item: Any, expected: list[str], left_out: dict[str, int]
) -> None:
    found, report = read_one(item)

    assert [message.content for message in found.messages] == expected
    assert report.left_out == left_out


def test_a_deep_conversation_needs_no_deep_stack() -> None:
    nodes = [node("0", None, "user", "0")]
    nodes += [node(str(n), str(n - 1), "user", str(n)) for n in range(1, 5_000)]

    assert len(read_one(chatgpt(*nodes))[0].messages) == 5_000


def test_a_message_without_a_time_has_that_of_the_one_before() -> None:
    later = node("a", "q", "assistant", "At nine.", create_time=None)
    first = node("q", "root", "user", "When?", create_time=None)

    found, _ = read_one(chatgpt(ROOT, first, later))
    assert [message.created_at for message in found.messages] == [AT, AT]

    found, _ = read_one(chatgpt(ROOT, first, later, create_time=None, update_time="soon"))
    assert [message.created_at for message in found.messages] == [None, None]


def test_all_that_an_assistant_does_in_a_turn_is_one_message() -> None:
    found, _ = read_one(
        chatgpt(
            ROOT,
            ASKED,
            node("1", "q", "assistant", content={"content_type": "thoughts", "thoughts": [
                {"summary": "Plan", "content": "Look it up."}]}),
            node("2", "1", "assistant", recipient="web", content={
                "content_type": "code", "language": "json", "text": '{"q": "train"}'}),
            node("3", "2", "tool", tool="web", content={
                "content_type": "tether_browsing_display", "result": "09:00"}),
            node("4", "3", "assistant", "At \ue200cite\ue202turn0search1\ue201nine."),
            node("5", "4", "assistant", content={"content_type": "hologram", "waves": [1, 2]}),
            node("6", "5", "assistant", "Platform 2.", status="in_progress",
                 metadata={"model_slug": "gpt-10"}),
        )
    )  # fmt: skip

    assert said(found) == [("user", "When?"), ("assistant", "At nine.\n\nPlatform 2.")]
    answer = found.messages[1]
    assert answer.status == "interrupted"
    assert answer.extra is not None
    assert answer.extra["item"]["model"] == "gpt-10"
    assert parts(answer) == [
        {"type": "reasoning", "text": "Plan\nLook it up."},
        {"type": "tool_call", "name": "web", "input": '{"q": "train"}'},
        {"type": "tool_result", "name": "web", "output": "09:00"},
        {
            "type": "text",
            "text": "At nine.",
            "source": "At \ue200cite\ue202turn0search1\ue201nine.",
        },
        {
            "type": "unknown",
            "source": "chatgpt",
            "content": {"content_type": "hologram", "waves": [1, 2]},
        },
        {"type": "text", "text": "Platform 2."},
    ]


def test_images_files_documents_and_instructions_of_chatgpt_are_kept() -> None:
    found, report = read_one(
        chatgpt(
            node("i", None, "user", content={"content_type": "user_editable_context",
                 "user_profile": "I am Ada.", "user_instructions": "Be brief."}),
            node("q", "i", "user", content={"content_type": "multimodal_text", "parts": [
                {"content_type": "image_asset_pointer", "asset_pointer": "sediment://f1",
                 "size_bytes": 7}, "What is it?"]},
                 metadata={"attachments": [{"id": "f2", "name": "map.pdf"}]}),
            node("a", "q", "assistant", recipient="canmore.create_textdoc", content={
                "content_type": "code",
                "text": '{"name": "Plan", "type": "document", "content": "Go."}'}),
        )
    )  # fmt: skip

    assert found.metadata["instructions"] == "I am Ada.\n\nBe brief."
    assert said(found) == [("user", "What is it?\n\n[image]"), ("assistant", "Go.")]
    assert [part["type"] for part in parts(found.messages[0])] == ["text", "image", "file"]
    assert parts(found.messages[0])[1]["asset"] == "sediment://f1"
    assert parts(found.messages[1])[0]["name"] == "Plan"
    assert report.left_out == {}


def test_an_entry_of_chatgpt_without_messages_does_not_fail_the_file() -> None:
    found, report = read({"title": "Corrupted entry"}, chatgpt(ROOT, ASKED), chatgpt(ROOT))

    assert [one.external_id for one in found] == ["chatgpt:c1"]
    assert report.left_out == {"entry without messages": 1, "conversation without messages": 1}
    assert report.places["entry without messages"] == ["export.json, 1"]


# The others


def claude(*messages: dict[str, Any]) -> dict[str, Any]:
    return {
        "uuid": "c1",
        "name": "",
        "created_at": "2026-05-01T10:00:00.123456Z",
        "updated_at": "2026-05-01T11:00:00.000000Z",
        "chat_messages": [{"uuid": str(n), **one} for n, one in enumerate(messages)],
    }


def test_a_conversation_of_claude_is_read_by_its_blocks() -> None:
    found, report = read_one(
        claude(
            {"sender": "human", "text": "Sum up", "attachments": [
                {"file_name": "paste.txt", "extracted_content": "the only copy"}],
             "files": [{"file_name": "a.png"}]},
            {"sender": "assistant", "text": "This block is not supported", "content": [
                {"type": "thinking", "thinking": "Hm."},
                {"type": "tool_use", "name": "search", "input": {"q": 1}},
                {"type": "tool_result", "name": "search", "content": [{"type": "text"}]},
                {"type": "text", "text": "Done."},
                {"type": "token_budget", "left": 3}]},
            {"sender": "human", "text": "Thanks", "content": [{"type": "text", "text": "Thanks"}]},
        )
    )  # fmt: skip

    assert said(found) == [("user", "Sum up"), ("assistant", "Done."), ("user", "Thanks")]
    assert (found.external_id, found.title) == ("claude:c1", None)
    assert found.created_at == datetime(2026, 5, 1, 10, 0, 0, 123456, UTC)
    assert parts(found.messages[0]) == [
        {"type": "file", "name": "paste.txt", "text": "the only copy"},
        {"type": "file", "name": "a.png"},
    ]
    kinds = [part["type"] for part in parts(found.messages[1])]
    assert kinds == ["reasoning", "tool_call", "tool_result", "text", "unknown"]
    assert found.messages[2].extra is None
    assert report.left_out == {}


def openwebui(messages: Any, current: Any = None, **more: Any) -> dict[str, Any]:
    history = {"currentId": current, "messages": messages}
    return {
        "id": "w1",
        "title": "Trains",
        "chat": {"models": ["m1"], "history": history},
        "created_at": 1_700_000_000,
        "updated_at": 1_700_000_060,
        **more,
    }


def test_a_chat_of_open_webui_is_the_branch_that_was_shown() -> None:
    details = '<details type="reasoning" done="true">\n<summary>x</summary>\n</details>\n'
    output = [
        {"type": "reasoning", "summary": [], "content": [{"type": "t", "text": "Hm."}]},
        {"type": "function_call", "call_id": "k", "name": "web", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "k", "output": [{"text": "9"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "At nine."}]},
    ]
    found, report = read_one(
        openwebui(
            {
                "q": {"parentId": None, "role": "user", "content": "When?", "files": [
                    {"type": "image", "name": "a.png", "url": "data:image/png;base64,AAAA"}]},
                "a": {"parentId": "q", "role": "assistant", "content": details + "At ten."},
                "b": {"parentId": "q", "role": "assistant", "content": details + "At nine.",
                      "output": output, "model": "m2", "usage": {"total_tokens": 7},
                      "annotation": {"rating": 1}, "timestamp": 1_700_000_001},
                "c": {"parentId": "b", "role": "user", "content": [{"type": "text", "text": "Ok"}]},
                "d": {"parentId": "c", "role": "assistant", "content": details + "Bye.",
                      "done": False},
            },
            "d",
            archived=True, pinned=True, meta={"tags": ["travel"]},
        )
    )  # fmt: skip

    contents = [("user", "When?"), ("assistant", "At nine."), ("user", "Ok"), ("assistant", "Bye.")]
    assert said(found) == contents
    assert (found.archived, found.pinned, found.tags) == (True, True, ["travel"])
    answer = found.messages[1].extra
    assert answer is not None
    assert answer["item"]["usage"] == {"total_tokens": 7}
    assert answer["item"]["feedback"] == {"rating": 1}
    assert answer["item"]["model"] == "m2"
    kinds = [part["type"] for part in parts(found.messages[1])]
    assert kinds == ["reasoning", "tool_call", "tool_result", "text"]
    assert found.messages[3].status == "interrupted"
    assert report.left_out == {
        "message of another branch": 1,
        "file within a message: only its name is kept": 1,
    }


def test_a_chat_of_an_old_open_webui_has_its_messages_in_a_row() -> None:
    chat = {"messages": [{"id": "1", "role": "user", "content": "Hi"}]}

    assert said(read_one({"id": "w", "chat": chat})[0]) == [("user", "Hi")]


def librechat(said_by: str, parent: str, text: str, *, user: bool, **more: Any) -> dict[str, Any]:
    return {
        "messageId": said_by,
        "parentMessageId": parent,
        "text": text,
        "sender": "GPT-4",
        "isCreatedByUser": user,
        **more,
    }


@pytest.mark.parametrize("nested", [True, False])
def test_a_conversation_of_librechat_is_its_newest_branch(nested: bool) -> None:
    first = librechat("q", "00000000-0000", "When?", user=True, createdAt="2026-05-01T10:00:00Z")
    old = librechat("a", "q", "At ten.", user=False, createdAt="2026-05-01T10:01:00Z")
    new = librechat(
        *("b", "q", "" ),
        user=False,
        createdAt="2026-05-01T10:02:00Z",
        unfinished=True,
        content=[{"type": "think", "think": "Hm."}, {"type": "text", "text": {"value": "At nine."}},
                 {"type": "tool_call", "tool_call": {"name": "web", "args": "{}", "output": "9"}}],
    )  # fmt: skip
    failed = librechat("c", "b", "500", user=False, createdAt="2026-05-01T10:03:00Z", error=True)
    tree = [{**first, "children": [old | {"children": []}, new | {"children": [failed]}]}]
    item = {"messagesTree": tree} if nested else {"messages": [failed, new, old, first]}

    found, report = read_one({"conversationId": "l1", "title": "T", "options": {}, **item})

    assert said(found) == [("user", "When?"), ("assistant", "At nine.")]
    assert found.messages[1].status == "interrupted"
    kinds = [part["type"] for part in parts(found.messages[1])]
    assert kinds == ["reasoning", "text", "tool_call"]
    assert report.left_out == {"message of another branch": 1, "error message": 1}


def test_dialogues_without_names_are_named_after_what_they_say() -> None:
    sharegpt = {"id": "7", "conversations": [
        {"from": "system", "value": "Be brief."}, {"from": "human", "value": "Hi"},
        {"from": "gpt", "value": "Hello"}, {"from": "narrator", "value": "…"}]}  # fmt: skip
    call = {"id": "k", "function": {"name": "web", "arguments": "{}"}}
    openai = {"messages": [
        {"role": "developer", "content": "Be brief."}, {"role": "user", "content": [
            {"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "x"}}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "k", "content": "9"}]}  # fmt: skip

    first, report = read_one(sharegpt)
    second, _ = read_one(openai)

    assert said(first) == [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello")]
    assert report.left_out == {"message of an unknown role": 1}
    assert first.external_id == read_one(sharegpt)[0].external_id
    assert first.external_id.startswith("sharegpt:")
    assert [one[0] for one in said(second)] == ["system", "user", "assistant", "tool"]
    assert second.messages[2].extra == {"format": "verbatim/1", "item": {"tool_calls": [call]}}
    assert second.messages[1].content == "Hi"


def test_what_verbatim_exports_is_read_in_both_of_its_forms() -> None:
    message = {"id": 7, "role": "user", "content": "Hi", "created_at": "2026-05-01T10:00:00.5Z"}
    lost = {"id": 8, "role": "user", "content": "", "status": "unavailable"}
    conversation = {"type": "conversation", "id": 5, "title": "T", "expires_in_days": 9}
    lines = [
        {"type": "account", "id": 1},
        conversation,
        {"type": "message", **message},
        {"type": "aside", **message},
        {"type": "message", **lost},
        {"type": "end", "conversations": 1},
    ]
    followed, report = read(*lines)
    (held,), _ = read(conversation | {"messages": [message, lost]})

    assert followed == [held]
    assert (held.external_id, held.messages[0].external_id) == ("verbatim:5", "verbatim:7")
    assert report.left_out == {
        "message of an unknown role, or one that was lost": 1,
        "message of another branch": 1,
    }
    (ours,) = map(json.loads, lines_of(held))
    assert asdict(read_one(ours)[0]) == asdict(held)


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ({"mapping": {}}, "chatgpt"),
        ({"chat_messages": []}, "claude"),
        ({"chat": {"history": {}}}, "openwebui"),
        ({"conversationId": "x", "messagesTree": []}, "librechat"),
        ({"conversationId": "x", "messages": [{"text": ""}]}, "librechat"),
        ({"conversations": [{"from": "human", "value": ""}]}, "sharegpt"),
        ({"messages": [{"role": "user", "content": ""}]}, "openai"),
        ({"external_id": "x", "messages": [{"role": "user", "content": ""}]}, "verbatim"),
        ({"type": "account"}, "verbatim"),
        ({"email": "ada@example.com"}, None),
    ],
)
def test_a_format_is_told_by_what_is_in_a_file(item: Any, name: str | None) -> None:
    assert format_of(item) == name


def test_a_file_without_conversations_is_told() -> None:
    found, report = read({"uuid": "u", "full_name": "Ada"})

    assert (found, report.left_out) == ([], {"file without conversations": 1})


# Limits


def ours(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    named = [{"external_id": str(n), "role": "user", **one} for n, one in enumerate(messages)]
    return {"type": "conversation", "external_id": "x:1", "messages": named, **more}


def test_a_text_that_cannot_be_stored_is_mended_and_counted() -> None:
    found, report = read_one(ours({"content": "a\0b\ud800c😀"}))

    assert found.messages[0].content == "a\ufffdb\ufffdc😀"
    assert report.changed == {"text with NUL or half a surrogate pair, replaced by U+FFFD": 1}


def test_a_long_text_is_split_not_cut() -> None:
    long = "é" * (2 * CONTENT_MOST + 1)
    found, report = read_one(ours({"content": long, "extra": {"a": 1}}, {"content": "next"}))

    assert "".join(message.content for message in found.messages) == long + "next"
    assert [message.external_id for message in found.messages] == ["0", "0#2", "0#3", "1"]
    assert [message.extra for message in found.messages] == [{"a": 1}, None, None, None]
    assert report.changed == {"message of more than 100,000 characters, split": 1}


@pytest.mark.parametrize(
    ("item", "left_out"),
    [
        (
            ours({"content": "a", "extra": {"x": "x" * EXTRA_MOST_BYTES}}),
            "tool calls, files and the like of a message, over 256 KiB or too deep",
        ),
        (ours({"content": "a"}, metadata={"x": "x" * 20_000}), "metadata of a conversation"),
        (ours({"content": "a"}, tags=["x" * 65]), "tag"),
        (ours({"content": "a"}, {"content": "b", "external_id": "0"}), "a second time"),
        (ours({"content": "a"}, {"content": "b", "external_id": "y" * 256}), "without an id"),
    ],
)
def test_what_is_over_a_limit_is_left_out_and_told(item: Any, left_out: str) -> None:
    found, report = read_one(item)

    assert said(found) == [("user", "a")]
    assert [left_out in reason for reason in report.left_out] == [True]


def test_a_long_title_is_shortened_and_told() -> None:
    found, report = read_one(ours({"content": "a"}, title="x" * 300))

    assert found.title == "x" * TITLE_MOST
    assert report.changed == {"title of more than 200 characters, shortened": 1}


@pytest.mark.parametrize("external_id", ["", "chatgpt:", "x" * 256])
def test_a_conversation_without_an_id_of_its_own_is_left_out(external_id: str) -> None:
    found, report = read(ours({"content": "a"}) | {"external_id": external_id})

    assert (found, report.left_out) == ([], {"conversation without an id of its own": 1})


def test_numbers_that_json_does_not_know_become_null() -> None:
    report = Report()
    file = BytesIO(
        b'{"type": "conversation", "external_id": "x", "messages": [{"role": "user", '
        b'"external_id": "1", "content": "a", "extra": {"n": [NaN, 1e999, 1.5]}}]}'
    )
    (found,) = read_conversations(read_items(file.read, report), "auto", report)

    assert found.messages[0].extra == {"n": [None, None, 1.5]}
    assert b"[null,null,1.5]" in next(lines_of(found))


def test_what_is_kept_of_a_message_is_what_the_server_takes() -> None:
    found, _ = read_one(ours({"content": "a", "extra": {"k\ud800": ["\ud83d\ude00", "\0", [[]]]}}))
    assert found.messages[0].extra == {"k\ufffd": ["😀", "\0", [[]]]}

    deep: dict[str, Any] = {}
    for _ in range(40):
        deep = {"deeper": deep}
    found, report = read_one(ours({"content": "a", "extra": deep}))
    assert found.messages[0].extra is None
    assert report.left_out.total() == 1


def test_a_long_conversation_is_sent_in_several_lines_of_one_name() -> None:
    texts = [{"content": "é" * 1_000} for _ in range(150)] + [{"content": "😀" * 100_000}] * 5
    found, _ = read_one(ours(*texts, title="T"))

    lines = list(lines_of(found))

    assert max(map(len, lines)) < 1024 * 1024
    sent = [json.loads(line) for line in lines]
    assert [len(line["messages"]) for line in sent] == [100, 52, 2, 1]
    assert {(line["external_id"], line["title"]) for line in sent} == {("x:1", "T")}
    again = [message["content"] for line in sent for message in line["messages"]]
    assert again == [message.content for message in found.messages]
