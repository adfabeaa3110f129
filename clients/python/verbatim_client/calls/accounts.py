"""Calls of accounts and API keys. They take no idempotency key: see `Call.is_repeatable`."""

from collections.abc import Sequence

from verbatim_client.call import Call
from verbatim_client.models import ApiKey, NewApiKey, User, reader

_user = reader(User)
_key = reader(ApiKey)
_new_key = reader(NewApiKey)


def register(username: str, email: str, password: str) -> Call[User]:
    """Make an account. A client without a key or a password may do this."""
    body = {"username": username, "email": email, "password": password}
    return Call("POST", "/auth/register", _user, body=body)


def me() -> Call[User]:
    """Return the user that the client acts for."""
    return Call("GET", "/auth/me", _user)


def make_key(
    name: str, *, scopes: Sequence[str] = ("read", "write", "chat"), acts_for: str = "self"
) -> Call[NewApiKey]:
    """Make an API key; with `acts_for="subjects"` it acts for people of the program's own."""
    body = {"name": name, "scopes": list(scopes), "acts_for": acts_for}
    return Call("POST", "/auth/keys", _new_key, body=body)


def keys() -> Call[list[ApiKey]]:
    """Return the account's API keys, oldest first."""
    return Call("GET", "/auth/keys", lambda answer: [_key(one) for one in answer["keys"]])


def revoke_key(key_id: str) -> Call[None]:
    """Revoke an API key; what it wrote stays."""
    return Call("DELETE", f"/auth/keys/{key_id}", lambda _: None)


def delete_account(password: str | None = None) -> Call[None]:
    """Delete the account with all its data; with a key for subjects, the subject."""
    body = {} if password is None else {"password": password}
    return Call("POST", "/auth/me/delete", lambda _: None, body=body)
