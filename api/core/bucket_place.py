"""Where the bucket of files is, as settings say it."""

import re
from dataclasses import dataclass, field
from typing import Final

_URL: Final = re.compile(
    r"s3://(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{1,62})"
    r"(?P<prefix>(/(?!\.{1,2}(/|$))[A-Za-z0-9._-]+)*)/?"
)


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """A bucket, a path in it, and how to sign in there."""

    name: str
    #: Before each object's name; may be empty.
    prefix: str
    #: The provider's own URL, without the bucket.
    endpoint: str
    region: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)


def parse(url: str) -> tuple[str, str]:
    """Return the name and the prefix of `s3://NAME/PREFIX`. Raises ValueError."""
    found = _URL.fullmatch(url)
    if not found:
        raise ValueError("it must be s3://BUCKET or s3://BUCKET/PREFIX")
    return found["name"], found["prefix"].lstrip("/")
