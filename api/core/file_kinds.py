"""What kind of file some bytes are, by the bytes alone: neither a name nor a header is believed.

Four kinds of images, by the signatures that browsers go by, and text. All else is refused, so
nothing that a browser would run is ever answered as what it is: HTML and SVG are text here.
"""

import re
from typing import Final, Literal

MediaType = Literal["image/png", "image/jpeg", "image/gif", "image/webp", "text/plain"]

#: https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern
_IMAGES: Final[tuple[tuple[re.Pattern[bytes], MediaType], ...]] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBPVP", re.DOTALL), "image/webp"),
)
#: Control characters that texts do not have. Terminals' escapes are in many a log.
_NO_TEXT: Final = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


def media_type_of(data: bytes) -> MediaType | None:
    """Return what kind of file this is, None for any that is not taken."""
    for signature, media_type in _IMAGES:
        if signature.match(data):
            return media_type
    return "text/plain" if _is_text(data) else None


def _is_text(data: bytes) -> bool:
    try:
        return not _NO_TEXT.search(data.decode())
    except UnicodeDecodeError:
        return False
