"""Who a request acts for: a user, and the session or API key that the request came with."""

from dataclasses import dataclass
from typing import Literal, get_args

#: What an API key may be allowed. `chat`: to talk to the assistant.
Scope = Literal["read", "write", "chat"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in user, or one that an API key acts for.

    The log refuses a write whose session or key was revoked. The server's own writes (answers,
    titles) name neither: they must succeed although the user has signed out in the meantime.
    """

    user_id: int
    #: Empty where no session can be revoked: tokens of an identity provider, the server itself. A
    #: key's is `<owner>:<key>`: its user may be one of the owner's subjects.
    session_id: str = ""
    #: What the request's API key allows; None without a key: everything.
    scopes: frozenset[Scope] | None = None
    #: The user is a subject of the key's owner.
    is_subject: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What the list of revoked sessions calls what may end this caller's."""
        if ":" in self.session_id:
            return self.session_id, account_name(self.user_id)
        return (f"{self.user_id}:{self.session_id}",)


def account_name(user_id: int) -> str:
    """Return what the list of revoked sessions calls an account that was deleted."""
    return f"{user_id}:"
