"""Who a request acts for: a user, and the session that the request came in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in user.

    The log refuses a write whose session was revoked. The server's own writes (answers, titles)
    name no session: they must succeed although the user has signed out in the meantime.
    """

    user_id: int
    #: Empty where no session can be revoked: tokens of an identity provider, the server itself.
    session_id: str = ""
