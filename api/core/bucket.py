"""A bucket of S3-compatible storage, where the bytes of assets may be instead of in PostgreSQL.

An object is the bytes of one asset, under the asset's id. PostgreSQL knows which there are, and
whose: nobody reads an object but through the owner's row. The client's library is an extra, and
loaded where a bucket is set only.

Its coroutines are not used: its threads still hold Python's objects when the answer is there, and
of 60 processes that ended soon after, 13 were aborted (obstore 0.12.1, by hand).
"""

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self, TypeVar

from api.core.bucket_place import BucketPlace
from api.core.errors import Unavailable
from api.core.failures import describe
from api.core.settings import Settings

if TYPE_CHECKING:
    from obstore.store import S3Credential, S3Store

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: An answer may take so long, unless told otherwise; after it, none is asked for again. A file has
#: many megabytes.
ANSWER_SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 3.0
#: Tries after the first one, where nobody answers, or with 5xx.
_RETRIES: Final = 2
_SILENT: Final = "the storage of files does not answer, or refuses"
_UNSET: Final = "the file is in a bucket, and this server is set up for none (ASSETS_URL)"
#: Of a missing bucket the library says the same as of a missing object: HTTP's 404.
_NO_BUCKET: Final = "NoSuchBucket"


class Bucket:
    """The bucket that settings name, if they do. One for each process, made after its fork.

    Its methods block; coroutines have `api.core.async_bucket`. They raise Unavailable where it is
    not set, does not answer, or refuses.
    """

    def __init__(self, store: "S3Store | None") -> None:
        self._store = store

    @classmethod
    def of(cls, settings: Settings, *, answer_seconds: float = ANSWER_SECONDS) -> Self:
        """Return the bucket of these settings. Connects at the first use."""
        place = settings.bucket
        if place is None:
            return cls(None)
        from obstore.store import S3Store  # noqa: PLC0415 - an extra

        store = S3Store(
            place.name,
            prefix=place.prefix or None,
            # What is not said here, the library asks the environment for: AWS_SESSION_TOKEN would
            # go with a key of these settings, if it were not for a provider that has none.
            credential_provider=_signing_as(place),
            aws_endpoint_url_s3=place.endpoint,
            region=place.region,
            virtual_hosted_style_request=False,
            skip_signature=False,
            s3_express=False,
            unsigned_payload=False,
            request_payer=False,
            # Each provider knows how to delete one; not each, how to delete several at once.
            disable_bulk_delete=True,
            client_options={
                "allow_http": place.endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
                "timeout": timedelta(seconds=answer_seconds),
                "user_agent": "verbatim",
            },
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=answer_seconds),
            },
        )
        return cls(store)

    def put(self, name: str, data: bytes) -> None:
        """Store an object: whole, or not at all."""

        def put(store: "S3Store") -> None:
            # In one piece: pieces of an upload that was cut off would stay, and be in no list.
            store.put(
                name,
                data,
                attributes={"Content-Type": "application/octet-stream"},
                use_multipart=False,
            )

        try:
            self._ask(put)
        except FileNotFoundError as error:
            raise Unavailable(_SILENT) from error

    def get(self, name: str) -> bytes | None:
        """Return an object's bytes, None where there is no such object."""
        try:
            return self._ask(lambda store: store.get(name).bytes().to_bytes())
        except FileNotFoundError:
            return None

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects; those that are not there are deleted already."""
        try:
            self._ask(lambda store: store.delete(list(names)))
        except FileNotFoundError:
            # Not all providers take that for a success. The others may not have been deleted yet.
            if len(names) > 1:
                for name in names:
                    self.delete([name])

    def _ask(self, asked: "Callable[[S3Store], T]") -> T:
        """Return the answer. Raises FileNotFoundError where there is no such object."""
        if self._store is None:
            raise Unavailable(_UNSET)
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra

        try:
            return asked(self._store)
        except (BaseError, OSError) as error:
            if isinstance(error, FileNotFoundError) and _NO_BUCKET not in str(error):
                raise
            logger.warning("the bucket of files: %s", describe(error))
            raise Unavailable(_SILENT) from error


def _signing_as(place: BucketPlace) -> "Callable[[], S3Credential]":
    return lambda: {
        "access_key_id": place.access_key_id,
        "secret_access_key": place.secret_access_key,
        "token": None,
        "expires_at": None,
    }
