#!/usr/bin/env bash
# LangGraph's `add_messages` keeps two messages with one id that follow a removal of all messages.
#
# Versions: PyPI langgraph 1.2.24, langchain-core 1.8.3.
# Assumed: a state that `add_messages` makes has each id once: of two messages with one id the later
#   one takes the earlier one's place, as it does in an update without removals.
# Seen: what follows a `RemoveMessage` of REMOVE_ALL_MESSAGES is taken as it is. A middleware that
#   loads a stored history so, in which a provider repeats an id in each turn, makes a state in which
#   the next message with that id takes an answer's place.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

pip install --quiet --disable-pip-version-check --root-user-action=ignore --target packages \
  langgraph==1.2.24 langchain-core==1.8.3

cat > asking.py <<'PYTHON'
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.graph.message import REMOVE_ALL_MESSAGES, add_messages

TURNS = [
    HumanMessage("a", id="q1"),
    AIMessage("1", id="same"),
    HumanMessage("b", id="q2"),
    AIMessage("2", id="same"),
]


def told(messages):
    return " ".join(message.content for message in messages)


state = add_messages([], TURNS)
print("an update:", told(state))
state = add_messages([], [RemoveMessage(id=REMOVE_ALL_MESSAGES), *TURNS])
print("after a removal of all:", told(state))
print("and then one more:", told(add_messages(state, [AIMessage("3", id="same")])))
PYTHON
PYTHONPATH=packages python3 asking.py | tee seen

diff seen - <<'SEEN'
an update: a 2 b
after a removal of all: a 1 b 2
and then one more: a 1 b 3
SEEN
