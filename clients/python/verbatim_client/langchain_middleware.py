"""A middleware of LangChain's agents that keeps their threads in Verbatim."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha256
from typing import Annotated, Any, Final

from langchain.agents.middleware import AgentMiddleware, AgentState
from langchain.agents.middleware.types import PrivateStateAttr
from langchain_core.messages import AIMessage, BaseMessage, RemoveMessage
from langgraph.config import get_config
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.runtime import Runtime
from typing_extensions import NotRequired

from verbatim_client.client import Client
from verbatim_client.errors import NotFound
from verbatim_client.items import batches
from verbatim_client.langchain_form import stored, told

_STORED: Final = "verbatim_stored"
#: Of how many texts, with their calls of tools, the digests are kept at hand.
_REMEMBERED: Final = 2_048
_known_digests: Final[dict[tuple[str, str], str]] = {}


class VerbatimState(AgentState):  # type: ignore[misc] # not installed here
    """The state of an agent, with the ids and digests of those of its messages that are stored."""

    verbatim_stored: NotRequired[  # type: ignore[valid-type] # the base is not known here
        Annotated[dict[str, str], PrivateStateAttr]
    ]


class VerbatimMiddleware(AgentMiddleware):  # type: ignore[misc] # not installed here
    """Stores what is new of a thread before each call of the model and at the agent's end.

    So a question is stored though the model fails. The thread's id (`thread_id` of the run's
    config) is the conversation's external id. Where no checkpointer has brought the thread's
    messages, they are read from the conversation. What other middleware takes out of the state
    stays stored; what it puts in place of a message before the model is called is what is stored,
    if it stands before this one.

    Args:
        client: Whose conversations the threads are. The middleware does not close it.
        subject: With a client whose key acts for subjects: for whom a run is, told by its runtime.
    """

    state_schema = VerbatimState

    def __init__(
        self, client: Client, *, subject: "Callable[[Runtime[Any]], str] | None" = None
    ) -> None:
        super().__init__()
        self._client = client
        self._subject = subject

    def before_agent(self, state: Any, runtime: "Runtime[Any]") -> dict[str, Any] | None:
        """Read the thread, unless a checkpointer has it."""
        if _STORED in state:
            return None
        client, thread = self._thread(runtime)
        found, given = _read(client, thread), state["messages"]
        has = {message.id for message in given}
        before = [message for message in found if message.id not in has]
        messages = [RemoveMessage(id=REMOVE_ALL_MESSAGES), *before, *given]
        return {_STORED: _digests(found), "messages": messages}

    def before_model(self, state: Any, runtime: "Runtime[Any]") -> dict[str, Any]:
        """Store what is new: the question, or what the tools have answered."""
        return self._store(state, runtime)

    def after_agent(self, state: Any, runtime: "Runtime[Any]") -> dict[str, Any]:
        """Store what is new: the answer."""
        return self._store(state, runtime)

    def _store(self, state: Any, runtime: "Runtime[Any]") -> dict[str, Any]:
        messages, known = state["messages"], state[_STORED]
        digests = _digests(messages)
        new = [one for one in messages if known.get(one.id) != digests[one.id] and not _made(one)]
        client, thread = self._thread(runtime)
        for batch in batches([stored(message) for message in new]):
            _add(client, thread, batch)
        return {_STORED: digests}

    def _thread(self, runtime: "Runtime[Any]") -> tuple[Client, str]:
        thread = get_config().get("configurable", {}).get("thread_id")
        if thread is None:
            raise ValueError("the run's config has no thread_id")
        subject = self._subject
        client = self._client if subject is None else self._client.acting_for(subject(runtime))
        return client, str(thread)


def _read(client: Client, thread: str) -> list[BaseMessage]:
    """Return a thread's messages, each with an id of its own."""
    rows = []
    with suppress(NotFound):
        rows = list(client.messages(thread))
    found = told(rows)
    seen: set[str] = set()
    for row, message in zip(rows, found, strict=True):
        if message.id is None or message.id in seen:  # a provider may repeat an id in each turn
            message.id = f"verbatim-{row.id}"
        seen.add(message.id)
    return found


def _add(client: Client, thread: str, batch: Sequence[Any]) -> None:
    # A run that goes on after a crash stores again what it has not noted.
    key = sha256(json.dumps([thread, batch], sort_keys=True).encode()).hexdigest()
    try:
        client.add_messages(thread, batch, idempotency_key=key)
    except NotFound:
        client.open_conversation(external_id=thread)
        client.add_messages(thread, batch, idempotency_key=key)


def _digests(messages: Sequence[BaseMessage]) -> dict[str, str]:
    return {str(message.id): _digest(message) for message in messages}


def _digest(message: BaseMessage) -> str:
    content = message.content
    kind: Any = type(message)
    calls = message.tool_calls if _may_call(kind) else None
    if not isinstance(content, str):
        return _hashed(content, calls)
    # All of a thread is compared in each step, and nearly all of it are texts.
    known = (content, repr(calls))
    if (digest := _known_digests.get(known)) is None:
        if len(_known_digests) >= _REMEMBERED:
            _known_digests.clear()
        digest = _known_digests[known] = _hashed(content, calls)
    return digest


def _hashed(content: Any, calls: Any) -> str:
    text = json.dumps([content, calls], sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:16]


@cache
def _may_call(kind: Any) -> bool:
    # To ask this of each message would take longer than to compare it.
    return issubclass(kind, AIMessage)


def _made(message: BaseMessage) -> bool:
    """Tell whether a message is a summary, which nobody has said."""
    return bool(message.additional_kwargs.get("lc_source") == "summarization")
