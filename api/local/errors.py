"""What can keep a local stack from starting."""

from api.core.errors import VerbatimError


class LocalError(VerbatimError):
    """The local stack cannot start or go on; the message is meant for who started it."""
