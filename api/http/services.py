"""The services of one process. `api.main` builds all of them, once."""

from dataclasses import dataclass

from api.accounts.api_keys import ApiKeys
from api.accounts.assets import Assets
from api.accounts.credentials import Credentials
from api.accounts.deletion import AccountDeletion
from api.accounts.oidc import IdentityProvider
from api.accounts.password_process import PasswordProcess
from api.accounts.sessions import Sessions
from api.accounts.shared_links import SharedLinks
from api.accounts.throttle import Throttle
from api.accounts.tokens import Tokens
from api.chat.gateway.recorder import Recorder
from api.chat.gateway.upstream import Upstream
from api.chat.responses.model import Endpoint
from api.chat.responses.responses import Responses
from api.chat.streaming.chat import StreamedChat
from api.chat.token_limit import TokenLimit
from api.chat.turn import Chat
from api.core.async_bucket import AsyncBucket
from api.core.async_database import AsyncDatabase
from api.core.settings import Settings
from api.http.uploads import Uploads
from api.operations.monitoring import Monitor
from api.reads.read_after import Reads
from api.reads.slots import ReadSlots
from api.writes.accept import Accept
from api.writes.attachments import Attachments
from api.writes.external_ids import ExternalIds
from api.writes.feedback import FeedbackWrites
from api.writes.fresh_reads import FreshReads
from api.writes.imports import Imports


@dataclass(frozen=True, slots=True)
class Services:
    """What requests are answered with."""

    settings: Settings
    accept: Accept
    database: AsyncDatabase
    reads: Reads
    fresh_reads: FreshReads
    read_slots: ReadSlots
    export_slots: ReadSlots
    imports: Imports
    import_slots: ReadSlots
    chat: Chat
    streamed_chat: StreamedChat
    token_limit: TokenLimit
    password_process: PasswordProcess
    credentials: Credentials
    throttle: Throttle
    tokens: Tokens
    sessions: Sessions
    api_keys: ApiKeys
    identity_provider: IdentityProvider | None
    external_ids: ExternalIds
    feedback: FeedbackWrites
    deletion: AccountDeletion
    shared_links: SharedLinks
    #: Reads of shared links, by the address that they come from.
    link_slots: ReadSlots
    bucket: AsyncBucket
    assets: Assets
    attachments: Attachments
    uploads: Uploads
    upload_slots: ReadSlots
    monitor: Monitor
    #: None where it is off, as is what answers responses.
    gateway: tuple[Upstream, Recorder] | None
    endpoint: Endpoint | None
    responses: Responses
