#!/usr/bin/env bash
# A message of Pydantic AI with an image is not equal to itself once it was stored as JSON.
#
# Version: PyPI pydantic-ai-slim 2.68.0.
# Assumed: what ModelMessagesTypeAdapter writes and reads back equals what was written, as it does
#   for a document, so that a store which compares a history with `==` finds the same one.
# Seen: `BinaryContent` of an image's media type comes back as `BinaryImage`, which is not equal to
#   it. `ConversationStore.save`, which compares so where a conversation was not loaded from the
#   store, takes such a history for a rewritten one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

pip install --quiet --disable-pip-version-check --root-user-action=ignore --target packages \
  pydantic-ai-slim==2.68.0

cat > asking.py <<'PYTHON'
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessagesTypeAdapter,
    ModelRequest,
    UserPromptPart,
)

for media_type in ("application/pdf", "image/png"):
    content = BinaryContent(b"some bytes", media_type=media_type)
    messages = [ModelRequest([UserPromptPart([content])])]
    read = ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json(messages))
    kind = type(read[0].parts[0].content[0]).__name__
    print(f"{media_type}: {kind}, equal: {read == messages}")
PYTHON
PYTHONPATH=packages python3 asking.py | tee seen

diff seen - <<'SEEN'
application/pdf: BinaryContent, equal: True
image/png: BinaryImage, equal: False
SEEN
