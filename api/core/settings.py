"""All settings, in one class: environment variables or `.env` (reference: docs/settings.md)."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL

from api.core import addresses, broker_urls, bucket_place, postgres_urls, redis_urls
from api.core.bucket_place import BucketPlace
from api.core.errors import SettingsError
from api.core.log_lines import LogFormat

#: HS256 wants a key at least as long as its hash (RFC 7518, section 3.2).
SECRET_KEY_MIN_BYTES = 32

#: How the log's Redis must write to disk.
Durability = Literal["always", "everysec", "managed", "unchecked"]
#: URLs hold passwords.
Secret = Annotated[str | None, Field(repr=False)]
_UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
Positive = Annotated[int, Field(gt=0)]


def postgres_url(text: str) -> URL:
    """Turn any `postgres://` or `postgresql://` form of libpq into SQLAlchemy's psycopg2 form.

    SQLAlchemy 2.1 refuses `postgres://` and takes `postgresql://` for psycopg 3.
    Raises SettingsError for anything that is not a PostgreSQL URL.
    """
    scheme, _, rest = text.partition("://")
    if not rest or scheme.partition("+")[0] not in {"postgres", "postgresql"}:
        raise SettingsError("a database URL must start with postgres:// or postgresql://")
    try:
        return postgres_urls.parse(rest)
    except ValueError as error:
        raise SettingsError("a database URL is malformed") from error


def describe_errors(error: ValidationError) -> list[str]:
    """Return one line per invalid setting: its name and the reason.

    Pydantic's own text quotes the value, which may be a secret.
    """
    problems = error.errors(include_input=False, include_url=False)
    return [
        ": ".join(
            [
                *(str(part).upper() for part in problem["loc"]),
                problem["msg"].removeprefix("Value error, "),
            ]
        )
        for problem in problems
    ]


class Settings(BaseSettings):
    """The settings of one process. Raises pydantic's ValidationError for an invalid one."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    # Addresses
    database_url: Secret = None
    #: For migrations: they need a direct connection if `database_url` is a transaction pooler.
    database_direct_url: Secret = None
    worker_database_url: Secret = None
    #: A hot standby of `database_url` that history is read from.
    read_database_url: Secret = None
    #: The database's own id, as `verbatim status` shows it. With it an API that starts while
    #: PostgreSQL is away takes writes at once; without it, it waits until it can ask.
    database_identity: Annotated[str | None, Field(pattern=_UUID)] = None
    redis_url: Secret = None
    celery_broker_url: Secret = None
    log_namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "verbatim"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    flower_port: Annotated[int, Field(ge=0, le=65535)] = 5555
    #: Processes of the API behind its one port.
    api_processes: Annotated[int, Field(ge=1, le=64)] = 1
    verbatim_data_dir: Path = Path(".verbatim")
    #: The `redis-server` or `valkey-server` of a local stack, instead of the Valkey that it brings.
    verbatim_redis_server: Path | None = None

    # Proxies and names
    #: Addresses and networks of proxies, separated by commas: their forwarded headers are believed.
    trusted_proxies: str | None = None
    #: Where browsers find this server, if a proxy shows it under a name of its own.
    public_origin: str | None = None
    #: More names that it is asked by, separated by commas.
    allowed_hosts: str | None = None
    #: Origins whose pages may call the API with a bearer token, separated by commas.
    cors_origins: str | None = None

    # Access
    secret_key: SecretStr | None = None
    #: A second key whose tokens are accepted during key rotation.
    secret_key_other: SecretStr | None = None
    access_token_minutes: Positive = 15
    #: A session ends when it was not renewed for this long.
    session_days: Positive = 30
    #: CPU priority of the process that checks passwords.
    password_priority: Literal["lowest", "normal"] = "lowest"  # noqa: S105 - a word, no secret
    #: Registrations allowed per client address.
    registrations_per_hour: Positive = 300
    #: An identity provider whose tokens are accepted: their `iss` and `aud`, and its key set's URL.
    oidc_issuer: str | None = None
    oidc_audience: str | None = None
    oidc_jwks_url: str | None = None
    #: Instead of a key set, or beside it: the secret with which an app signs its own tokens.
    oidc_shared_secret: SecretStr | None = None
    #: Allows `/metrics` from other machines, with `Authorization: Bearer …`.
    metrics_token: SecretStr | None = None

    # The assistant
    assistant: Literal["demo", "openai"] = "demo"
    demo_word_ms: Annotated[int, Field(ge=0)] = 0
    openai_base_url: str | None = None
    openai_api_key: SecretStr | None = None
    openai_model: str = "gpt-4o-mini"
    # An answer's limits, in seconds: to its first token, from token to token, for all of it.
    openai_timeout_seconds: Annotated[float, Field(gt=0)] = 60.0
    #: None: as long as the first token may take.
    openai_silence_seconds: Annotated[float | None, Field(gt=0)] = None
    openai_answer_seconds: Annotated[float, Field(gt=0)] = 600.0
    #: Whether the model takes images.
    openai_images: Literal["on", "off"] = "on"

    #: Forwards `/v1/chat/completions` to the same endpoint, and stores what is said.
    gateway: Literal["off", "on"] = "off"

    # What an assistant is given of a conversation: how many of its latest messages, and bytes.
    assistant_memory_messages: Annotated[int, Field(gt=0, le=1000)] = 20
    assistant_memory_bytes: Positive = 16 * 1024

    # Files
    #: Most bytes of one file that is uploaded; 0: none is taken.
    asset_max_bytes: Annotated[int, Field(ge=0, le=100 * 1024 * 1024)] = 10 * 1024 * 1024
    #: Bytes of all files that a user has uploaded and not deleted; 0: no limit.
    user_asset_bytes: Annotated[int, Field(ge=0)] = 1024 * 1024 * 1024
    #: A bucket for files, s3://BUCKET/PREFIX, instead of PostgreSQL.
    assets_url: str | None = None
    #: Its provider; by default AWS, in that region.
    assets_endpoint: str | None = None
    assets_region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] = "us-east-1"
    assets_access_key_id: SecretStr | None = None
    assets_secret_access_key: SecretStr | None = None
    #: Where new files go. None: to the bucket, if there is one.
    assets_store: Literal["s3", "postgresql"] | None = None

    # The log
    #: Writes get 503 above this many entries, or bytes, in one of the 16 partitions.
    log_max_entries: Positive = 100_000
    log_max_bytes: Positive = 64 * 1024 * 1024
    #: Writes get 503 while the oldest entry of their partition is older than this.
    log_max_age_seconds: Positive = 24 * 3600
    #: What was committed stays in the log for so long, in case PostgreSQL goes back; 0: not at all.
    log_keep_seconds: Annotated[int, Field(ge=0, le=3600)] = 60
    idempotency_seconds: Positive = 3600
    # Limits of one user; 0: no limit. High, since a user may be a program; lower them for people.
    user_writes_per_minute: Annotated[int, Field(ge=0)] = 200_000
    user_bytes_per_minute: Annotated[int, Field(ge=0)] = 256 * 1024 * 1024
    user_backlog_entries: Annotated[int, Field(ge=0)] = 50_000
    user_backlog_bytes: Annotated[int, Field(ge=0)] = 32 * 1024 * 1024
    user_conversations_per_day: Annotated[int, Field(ge=0)] = 100_000
    #: Subjects of one account: each is a user with limits of its own.
    user_subjects: Annotated[int, Field(ge=0)] = 100_000
    #: Tokens that models may take for a user's answers in a day (UTC), input and output.
    user_tokens_per_day: Annotated[int, Field(ge=0)] = 0
    #: Writes with an Idempotency-Key: each key takes some 30 bytes for an hour.
    user_keys_per_hour: Annotated[int, Field(ge=0)] = 6_000_000
    #: always: Redis must fsync every write. everysec: may lose the last seconds at a power loss.
    #: managed: a service keeps what it answers; only what INFO shows is checked.
    #: unchecked: nothing is checked, for development.
    redis_durability: Durability = "always"
    #: A write is answered once so many replicas have it, too.
    redis_replicas: Annotated[int, Field(ge=0)] = 0

    # The database
    #: unchecked: for development; accepts a role that row-level security does not restrict.
    row_security: Literal["enforced", "unchecked"] = "enforced"

    #: Days after its last activity until a conversation is deleted; 0: nothing is deleted by age.
    retention_days: Annotated[int, Field(ge=0, le=36_500)] = 0

    # The drain
    batch_max_entries: Positive = 2048
    batch_max_bytes: Positive = 4 * 1024 * 1024
    tick_ms: Positive = 8

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: LogFormat = "text"
    #: otlp: spans of requests and of the drain are sent where the OTEL_… variables say.
    traces: Literal["off", "otlp"] = "off"

    @field_validator("redis_url", "celery_broker_url")
    @classmethod
    def _log_and_broker_can_be_reached(cls, value: str | None, field: ValidationInfo) -> str | None:
        if value:
            is_log = field.field_name == "redis_url"
            check = redis_urls.check_log if is_log else broker_urls.check
            check(value)
        return value

    @model_validator(mode="after")
    def _broker_is_known(self) -> "Settings":
        if not self.redis_url or self.celery_broker_url or redis_urls.is_server(self.redis_url):
            return self
        if redis_urls.is_cluster(self.redis_url):
            raise ValueError(
                "CELERY_BROKER_URL is required where REDIS_URL is a cluster, which Celery cannot"
                " use: a Redis, or Valkey, of its own, however small"
            )
        raise ValueError(
            "CELERY_BROKER_URL is required where REDIS_URL names sentinels: a Redis of its own, or"
            " these sentinels in Celery's form, sentinel://…?master_name=NAME"
        )

    @field_validator("trusted_proxies", "public_origin", "allowed_hosts", "cors_origins")
    @classmethod
    def _proxies_and_names_can_be_read(cls, value: str | None, field: ValidationInfo) -> str | None:
        if not value:
            return None
        if field.field_name == "public_origin":
            return addresses.origin(value)
        readers: Mapping[str | None, Callable[[str], object]] = {
            "trusted_proxies": addresses.networks,
            "allowed_hosts": addresses.host_names,
            "cors_origins": addresses.origins,
        }
        readers[field.field_name](value)
        return value

    @field_validator("traces")
    @classmethod
    def _traces_have_their_packages(cls, value: str) -> str:
        try:
            found = value == "off" or find_spec("opentelemetry.exporter.otlp.proto.http")
        except ModuleNotFoundError:
            found = None
        if not found:
            raise ValueError("its packages are missing: pip install -r requirements-otel.txt")
        return value

    @field_validator("assets_url", "assets_endpoint")
    @classmethod
    def _bucket_can_be_read(cls, value: str | None, field: ValidationInfo) -> str | None:
        if not value:
            return None
        if field.field_name == "assets_endpoint":
            return addresses.origin(value)
        bucket_place.parse(value)
        if not find_spec("obstore"):
            raise ValueError("its package is missing: pip install -r requirements-s3.txt")
        return value

    @model_validator(mode="after")
    def _bucket_is_complete(self) -> "Settings":
        keys = (self.assets_access_key_id, self.assets_secret_access_key)
        if self.assets_url and not all(keys):
            raise ValueError("ASSETS_URL needs ASSETS_ACCESS_KEY_ID and ASSETS_SECRET_ACCESS_KEY")
        others = (*keys, self.assets_endpoint, self.assets_store == "s3")
        if any(others) and not self.assets_url:
            raise ValueError(
                "ASSETS_ENDPOINT, ASSETS_ACCESS_KEY_ID, ASSETS_SECRET_ACCESS_KEY and"
                " ASSETS_STORE=s3 need ASSETS_URL"
            )
        return self

    @model_validator(mode="after")
    def _gateway_has_no_limit_of_tokens(self) -> "Settings":
        if self.gateway == "on" and self.user_tokens_per_day:
            raise ValueError(
                "GATEWAY=on does not go with USER_TOKENS_PER_DAY: of a stream that passes the"
                " gateway nobody may be told what it took"
            )
        return self

    @model_validator(mode="after")
    def _secret_keys_are_long_enough(self) -> "Settings":
        for name in ("secret_key", "secret_key_other", "oidc_shared_secret"):
            key: SecretStr | None = getattr(self, name)
            if key is not None and len(key.get_secret_value().encode()) < SECRET_KEY_MIN_BYTES:
                raise ValueError(f"{name.upper()} must have at least {SECRET_KEY_MIN_BYTES} bytes")
        return self

    @model_validator(mode="after")
    def _oidc_is_complete(self) -> "Settings":
        names = (self.oidc_issuer, self.oidc_audience)
        keys = (self.oidc_jwks_url, self.oidc_shared_secret)
        if any((*names, *keys)) and not (all(names) and any(keys)):
            raise ValueError(
                "OIDC_ISSUER and OIDC_AUDIENCE go together, with OIDC_JWKS_URL or"
                " OIDC_SHARED_SECRET"
            )
        if keys[1] and keys[1] in (self.secret_key, self.secret_key_other):
            raise ValueError("OIDC_SHARED_SECRET must not be a key that signs our own tokens")
        return self

    @property
    def database(self) -> URL:
        """The API's database. Raises SettingsError where none is set."""
        return postgres_url(_required("DATABASE_URL", self.database_url))

    @property
    def migration_database(self) -> URL:
        """The database for migrations, by a direct connection."""
        return postgres_url(self.database_direct_url) if self.database_direct_url else self.database

    @property
    def read_database(self) -> URL | None:
        """A standby for reads, under the API's role; None where there is none."""
        return postgres_url(self.read_database_url) if self.read_database_url else None

    @property
    def worker_database(self) -> URL:
        """The database under the worker's own role."""
        return postgres_url(self.worker_database_url) if self.worker_database_url else self.database

    @property
    def bucket(self) -> BucketPlace | None:
        """The bucket that files are in, or some of them; None where there is none."""
        key_id, key = self.assets_access_key_id, self.assets_secret_access_key
        if not (self.assets_url and key_id and key):
            return None
        name, prefix = bucket_place.parse(self.assets_url)
        region = self.assets_region
        endpoint = self.assets_endpoint or f"https://s3.{region}.amazonaws.com"
        return BucketPlace(
            name, prefix, endpoint, region, key_id.get_secret_value(), key.get_secret_value()
        )

    @property
    def new_files_go_to_bucket(self) -> bool:
        """Whether new files go there; what is stored already stays where it is."""
        return bool(self.assets_url) and self.assets_store != "postgresql"

    @property
    def proxies(self) -> tuple[addresses.Network, ...]:
        """The proxies whose forwarded headers are believed."""
        return addresses.networks(self.trusted_proxies) if self.trusted_proxies else ()

    @property
    def hosts(self) -> frozenset[str]:
        """The names, beside those of loopback, that the API is asked by."""
        public = (self.public_origin or "").partition("://")[2]
        own = "" if addresses.is_address(self.host) else self.host
        named = [name for name in (self.allowed_hosts, public, own) if name]
        return addresses.host_names(",".join(named)) if named else frozenset()

    @property
    def origins(self) -> frozenset[str]:
        """The origins whose pages may call the API."""
        return addresses.origins(self.cors_origins) if self.cors_origins else frozenset()

    @property
    def redis(self) -> str:
        """The URL of the log's Redis. Raises SettingsError where none is set."""
        return _required("REDIS_URL", self.redis_url)

    @property
    def broker(self) -> str:
        """The URL of Celery's broker: by default the next database of the log's Redis."""
        url = self.celery_broker_url or redis_urls.next_database(self.redis)
        return redis_urls.checking_certificates(url)

    @property
    def signing_key(self) -> str:
        """The key that signs access tokens. Raises SettingsError where none is set."""
        key = self.secret_key
        return _required("SECRET_KEY", key.get_secret_value() if key else None)

    @property
    def signing_keys(self) -> list[str]:
        """That key, and the one that is accepted beside it."""
        other = self.secret_key_other
        return [self.signing_key, *([other.get_secret_value()] if other else [])]


def load() -> Settings:
    """Return the settings of this process. Raises SettingsError that says what is invalid."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("; ".join(describe_errors(error))) from None


def _required(name: str, value: str | None) -> str:
    if not value:
        raise SettingsError(f"{name} is not set; `make run` starts a stack that sets it")
    return value
