"""The app: builds it, opens its connections and services at start, closes them at the end."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import Final

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.accounts.api_keys import ApiKeys
from api.accounts.assets import Assets
from api.accounts.credentials import Credentials
from api.accounts.deletion import AccountDeletion
from api.accounts.export import EXPORTS_PER_USER
from api.accounts.key_store import KeyStore
from api.accounts.oidc import IdentityProvider
from api.accounts.password_process import FULL, PasswordProcess
from api.accounts.revocations import Revocations
from api.accounts.session_store import SessionStore
from api.accounts.sessions import Sessions
from api.accounts.shared_links import SharedLinks
from api.accounts.subjects import Subjects
from api.accounts.throttle import Throttle
from api.accounts.tokens import Tokens
from api.chat.answers import Answers
from api.chat.assistants import make_assistant
from api.chat.files import Files
from api.chat.gateway.recorder import Recorder
from api.chat.gateway.upstream import Upstream
from api.chat.generation import Timeouts
from api.chat.responses.responses import Responses
from api.chat.running_turns import RunningTurns
from api.chat.streaming.chat import StreamedChat
from api.chat.titles import Titles
from api.chat.token_limit import TokenLimit
from api.chat.turn import Chat
from api.core import garbage_collector, tracing
from api.core.assets import AssetIds
from api.core.async_bucket import AsyncBucket
from api.core.async_database import THREADS, AsyncDatabase
from api.core.bell import make_celery
from api.core.bucket import Bucket
from api.core.database import api_engine
from api.core.errors import SettingsError
from api.core.log_lines import LogFormat, capture_warnings, formatter
from api.core.settings import Settings, load
from api.http import openapi as docs
from api.http import problems
from api.http.cors import Cors
from api.http.fast_lane import FastLane
from api.http.hosts import AllowedHosts
from api.http.middleware import LoadShedder, OuterMiddleware, is_sign_in, is_write
from api.http.openai import chat_completions as v1_chat
from api.http.openai import conversation_items as v1_items
from api.http.openai import conversations as v1_conversations
from api.http.openai import responses as v1_responses
from api.http.openai.errors import OpenAIErrors
from api.http.request_spans import RequestSpans
from api.http.routes import (
    account,
    assets,
    auth,
    branches,
    chat,
    conversations,
    feedback,
    health,
    imports,
    keys,
    messages,
    search,
    sessions,
    shared_links,
    streams,
    tags,
    usage,
    web,
)
from api.http.services import Services
from api.http.shares import Shares
from api.http.uploads import UPLOADS_PER_USER, Uploads
from api.operations.monitoring import Monitor
from api.reads import standby as standbys
from api.reads.read_after import Reads
from api.reads.slots import ReadSlots
from api.writes.attachments import Attachments
from api.writes.external_ids import ExternalIds
from api.writes.feedback import FeedbackWrites
from api.writes.fresh_reads import FreshReads
from api.writes.imports import Imports
from api.writes.write_path import WritePath

#: Connections for what the write path asks of PostgreSQL, beside the reads'.
WRITE_PATH_CONNECTIONS: Final = 5


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the app; it opens nothing before it is started.

    Raises SystemExit, with a line that says why, for settings it cannot be made with.
    """
    try:
        return _app(settings or load())
    except SettingsError as error:
        raise SystemExit(f"the API does not start: {error}") from None


def _app(known: Settings) -> FastAPI:
    _log_at(known.log_level, known.log_format)
    other = known.secret_key_other
    tokens = Tokens(
        known.signing_key,
        minutes=known.access_token_minutes,
        also=[other.get_secret_value()] if other else [],
    )

    writes = Shares()
    spans = tracing.spans_of(known, "verbatim-api")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with _opened(known, tokens) as services:
            app.state.services = services
            with garbage_collector.quiet():
                yield

    app: FastAPI = FastAPI(  # annotated for mypy: a part of it refers to it
        title="Verbatim",
        version=docs.VERSION,
        description=docs.DESCRIPTION,
        openapi_tags=docs.TAGS,
        lifespan=lifespan,
        # Swagger UI is served from this machine, not from a CDN (see `api.http.openapi`).
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # It would record error messages and request values, which may be a user's words.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        middleware=[
            *([Middleware(RequestSpans, spans)] if spans else []),
            Middleware(ProxyHeadersMiddleware, [str(proxy) for proxy in known.proxies]),
            *([Middleware(Cors, known.origins)] if known.origins else []),
            Middleware(OpenAIErrors),
            Middleware(
                OuterMiddleware,
                _load_shedders(lambda: app.state.services, writes),
                AllowedHosts(known.hosts),
                writes,
            ),
            Middleware(FastLane, lambda: app.routes),
        ],
    )
    # One flat list, the most frequent first: FastAPI matches each route of an included router
    # several times, which was a third of the app's CPU for a message.
    for routes in (
        messages,
        conversations,
        chat,
        streams,
        branches,
        auth,
        account,
        keys,
        sessions,
        imports,
        search,
        shared_links,
        assets,
        v1_items,
        v1_conversations,
        tags,
        feedback,
        usage,
        v1_chat,
        v1_responses,
        health,
    ):
        app.router.routes.extend(routes.router.routes)
    problems.install(app)
    docs.install(app)
    web.install(app)
    return app


def _load_shedders(services: Callable[[], Services], writes: Shares) -> list[LoadShedder]:
    busy = "the server has more to do than it can; nothing was written"
    return [
        LoadShedder(
            "overload", busy, is_write, lambda: services().accept.is_overloaded, writes.spares
        ),
        LoadShedder("sign_ins", FULL, is_sign_in, lambda: services().password_process.is_full),
    ]


@asynccontextmanager
async def _opened(settings: Settings, tokens: Tokens) -> AsyncIterator[Services]:
    async with AsyncExitStack() as stack:
        stack.push_async_callback(run_in_threadpool, tracing.close, "verbatim-api")
        engine = api_engine(settings, settings.database, pool_size=THREADS + WRITE_PATH_CONNECTIONS)
        stack.callback(engine.dispose)
        assistant = make_assistant(settings)
        stack.push_async_callback(assistant.close)
        throttle = Throttle(settings)
        stack.callback(throttle.close)
        password_process = PasswordProcess(priority=settings.password_priority)
        database = AsyncDatabase(engine)
        credentials = Credentials(settings, password_process, database)
        stack.callback(database.close)
        write_path = WritePath(settings, engine, database)
        stack.push_async_callback(write_path.stop)
        await write_path.start()
        accept, log = write_path.accept, write_path.async_log
        standby = await stack.enter_async_context(standbys.opened(settings, database))
        reads = Reads(database, log.absent, standby)
        revocations = Revocations(log)
        await revocations.start()
        stack.push_async_callback(revocations.stop)
        subjects = Subjects(database, revocations, settings.user_subjects)
        key_store = KeyStore(write_path.log)
        answers = Answers(log, database)
        turns = RunningTurns(log)
        titles = Titles(accept, assistant)
        stack.push_async_callback(titles.stop)
        timeouts = Timeouts.of(settings)
        token_limit = TokenLimit(log, settings.user_tokens_per_day)
        bucket = stack.enter_context(closing(AsyncBucket(Bucket.of(settings))))
        asset_ids, files = AssetIds(settings.signing_keys), Files(database, bucket)
        streamed = StreamedChat(
            log=log,
            accept=accept,
            turns=turns,
            answers=answers,
            database=database,
            assistant=assistant,
            titles=titles,
            files=files,
            timeouts=timeouts,
            limit=token_limit,
        )
        streamed.start()
        stack.push_async_callback(streamed.stop)
        credentials.start()
        stack.push_async_callback(credentials.stop)
        monitor = Monitor(write_path, database, settings.database, make_celery(settings), standby)
        stack.push_async_callback(monitor.close)
        gateway, endpoint = None, None
        if settings.gateway == "on":
            # As for the assistant: its SDK takes long to import.
            from api.chat.assistants.openai import OpenAIAssistant  # noqa: PLC0415

            endpoint = OpenAIAssistant.from_settings(settings)
            stack.push_async_callback(endpoint.close)
            upstream = Upstream(settings)
            stack.push_async_callback(upstream.close)
            recorder = Recorder(accept, reads.primary, log)
            stack.push_async_callback(recorder.stop)
            gateway = upstream, recorder
        fresh_reads = FreshReads(log, reads)
        yield Services(
            settings=settings,
            accept=accept,
            database=database,
            reads=reads,
            fresh_reads=fresh_reads,
            read_slots=ReadSlots(),
            export_slots=ReadSlots(EXPORTS_PER_USER),
            imports=Imports(accept, reads.primary),
            import_slots=ReadSlots(1, "another import of this account is running"),
            chat=Chat(
                *(accept, turns, answers, assistant, titles),
                files=files,
                timeouts=timeouts,
                limit=token_limit,
            ),
            token_limit=token_limit,
            streamed_chat=streamed,
            password_process=password_process,
            credentials=credentials,
            throttle=throttle,
            tokens=tokens,
            sessions=Sessions(
                tokens, database, SessionStore(settings, write_path.log), revocations
            ),
            api_keys=ApiKeys(database, key_store, revocations, subjects),
            identity_provider=IdentityProvider(settings, subjects, tokens.key_names)
            if settings.oidc_issuer
            else None,
            external_ids=ExternalIds(log, reads.primary),
            feedback=FeedbackWrites(accept, reads.primary, log),
            deletion=AccountDeletion(
                database, reads.primary, log, key_store, tokens.lifetime_seconds
            ),
            shared_links=SharedLinks(database, reads, log),
            link_slots=ReadSlots(full="too many shared links are read from this address"),
            bucket=bucket,
            assets=Assets(
                *(database, asset_ids, bucket),
                into_bucket=settings.new_files_go_to_bucket,
                user_most_bytes=settings.user_asset_bytes,
            ),
            attachments=Attachments(asset_ids, database),
            uploads=Uploads(settings.asset_max_bytes),
            upload_slots=ReadSlots(UPLOADS_PER_USER, "other files of this account are uploaded"),
            monitor=monitor,
            gateway=gateway,
            endpoint=endpoint,
            responses=Responses(
                accept=accept,
                log=log,
                turns=turns,
                runner=streamed.runner,
                subscriber=streamed.subscriber,
                database=database,
                fresh_reads=fresh_reads,
                timeouts=timeouts,
            ),
        )


def _log_at(level: str, log_format: LogFormat) -> None:
    """Send this package's log lines to stderr; uvicorn writes its own."""
    package = logging.getLogger("api")
    package.setLevel(level)
    if not package.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(formatter(log_format))
        package.addHandler(handler)
        if log_format == "json":
            capture_warnings()
