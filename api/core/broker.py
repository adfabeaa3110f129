"""Whether Celery's broker answers, whatever kind it is: kombu connects to it, and no more."""

from amqp.exceptions import AccessRefused, NotAllowed
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import AuthenticationError

from api.core.errors import Unavailable, UnsuitableBrokerError

#: What brokers say that will not change by itself: a wrong name or password, no such virtual host.
_REFUSALS = (AccessRefused, NotAllowed, AuthenticationError)


def answers(app: Celery) -> bool:
    """Return whether the broker takes a new connection. Blocks, for seconds where it is away."""
    try:
        connect(app)
    except (Unavailable, UnsuitableBrokerError):
        return False
    return True


def connect(app: Celery) -> None:
    """Connect, and close the connection again.

    Raises Unavailable if the broker does not answer, UnsuitableBrokerError if it refuses this user,
    or if nothing here can speak to it.
    """
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, _REFUSALS):
            raise UnsuitableBrokerError(
                "the broker refuses the name, the password or the virtual host of CELERY_BROKER_URL"
            ) from error
        if isinstance(error, (OperationalError, OSError)):
            raise Unavailable(
                f"Celery's broker does not answer ({type(cause).__name__})"
            ) from error
        # As of a package that is missing: such a text quotes no URL.
        why = f": {error}" if isinstance(error, ImportError) else ""
        raise UnsuitableBrokerError(
            f"the broker of CELERY_BROKER_URL cannot be used ({type(error).__name__}{why})"
        ) from error
