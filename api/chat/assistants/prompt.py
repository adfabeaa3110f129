"""What is sent to a model: the conversation in a shape that strict providers take.

Some refuse two messages of one role in a row, an empty one, or an assistant's first. What is
stored may hold all of these: a failed turn has no answer, a stopped one may have an empty one.
"""

import base64
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from openai.types.chat import (
    ChatCompletionContentPartParam,
    ChatCompletionMessageParam,
    ChatCompletionSystemMessageParam,
)

from api.core.text import CONTENT_MOST, cut, is_blank
from api.core.turns import File, TurnMessage

_TEXT: Final = "text/plain"


def prompt(
    recent: Sequence[TurnMessage],
    message: str,
    files: Sequence[File] = (),
    *,
    with_images: bool = True,
) -> list[ChatCompletionMessageParam]:
    """Return the messages to send: roles in turn, a user's first, the new one last, none empty.

    Before them comes the system's, where the conversation has instructions. Text files are part of
    a message's text, as are the names of files that are not given; images are parts of their own.
    """
    said = [
        turn
        for turn in recent
        if turn.role != "system" and not (is_blank(turn.content) and not turn.files)
    ]
    told = [turn.content for turn in recent if turn.role == "system"]
    asked = TurnMessage("user", message, files=tuple(files))
    return [
        *(ChatCompletionSystemMessageParam(role="system", content=text) for text in told),
        *_alternating([*said, asked], with_images=with_images),
    ]


def _alternating(
    said: Sequence[TurnMessage], *, with_images: bool
) -> Iterator[ChatCompletionMessageParam]:
    is_first = True
    for role, turns in groupby(said, key=lambda turn: turn.role):
        if role == "user":
            yield {"role": "user", "content": _of_user(list(turns), with_images=with_images)}
        elif not is_first:
            yield {"role": "assistant", "content": _joined(turn.content for turn in turns)}
        is_first = False


def _of_user(
    turns: Sequence[TurnMessage], *, with_images: bool
) -> str | list[ChatCompletionContentPartParam]:
    def is_shown(file: File) -> bool:
        return with_images and file.data is not None and file.media_type.startswith("image/")

    images = [file for turn in turns for file in turn.files if is_shown(file)]
    text = _joined(
        text
        for turn in turns
        for text in (turn.content, *(_told(file) for file in turn.files if not is_shown(file)))
        if text
    )
    if not images:
        return text
    parts: list[ChatCompletionContentPartParam] = [{"type": "text", "text": text}] if text else []
    parts += [{"type": "image_url", "image_url": {"url": _data_url(image)}} for image in images]
    return parts


def _told(file: File) -> str:
    """Return what is said of a file in words: all of a text, the name of another one."""
    if file.media_type == _TEXT and file.data is not None:
        text = cut(file.data.decode(errors="replace"), CONTENT_MOST)
        return f"[Beginning of the file {file.name}]\n{text}\n[End of the file {file.name}]"
    return f"[A file that you cannot see: {file.name}]" if file.name else "[A file that is gone]"


def _data_url(image: File) -> str:
    encoded = base64.b64encode(image.data or b"").decode()
    return f"data:{image.media_type};base64,{encoded}"


def _joined(texts: Iterable[str]) -> str:
    return "\n\n".join(texts)
