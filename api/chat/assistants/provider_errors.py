"""What a model's provider reports as an error, as a problem of ours without its text.

Providers quote the prompt in their errors, so their words are looked at and never passed on.
"""

import logging
import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

import httpx2
import openai

from api.chat.assistants.completions import ReportedError
from api.core.errors import BadGateway, GatewayTimeout, NotAllowed, Problem, Unavailable

logger = logging.getLogger(__name__)

#: Longest time to wait that is passed on, in seconds.
WAIT_MOST: Final = 3600
#: Passed on where a provider that is asked too often names no time, in seconds.
WAIT_DEFAULT: Final = 5

#: Code points of a refusal that are passed on.
REFUSAL_MOST: Final = 1000

_TOO_LONG: Final = re.compile(
    r"context[_ ]?(length|size|window|limit)|maximum context|prompt is too long"
    r"|input (is )?too long|too many (input )?tokens|token count",
    re.IGNORECASE,
)
_QUOTA: Final = re.compile(r"insufficient_quota|billing|credit balance", re.IGNORECASE)
_BUSY: Final = re.compile(r"rate[_ -]?limit|too many requests|'code': '?429", re.IGNORECASE)
#: Strict servers refuse a parameter that they do not know; some name it, some only say so.
_UNKNOWN_PARAMETER: Final = re.compile(
    r"stream_options|include_usage"
    r"|(unknown|unrecognized|unexpected|unsupported|additional|extra) "
    r"(\w+ )?(parameter|argument|field|input|property|properties|key|name|keyword)s?",
    re.IGNORECASE,
)
_DETAILS: Final[dict[int | None, str]] = {
    HTTPStatus.UNAUTHORIZED: "the model's provider does not accept the key",
    HTTPStatus.FORBIDDEN: "the model's provider does not allow this",
    HTTPStatus.NOT_FOUND: "the model's provider does not know the model, or the path",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the conversation is too long for the model",
}


@contextmanager
def as_problems() -> Iterator[None]:
    """Turn what goes wrong between us and the provider into a Problem."""
    try:
        yield
    except openai.APIStatusError as error:
        logger.warning("the model failed: status %d", error.status_code)
        raise _problem(error.status_code, error.body, error.response.headers) from error
    except ReportedError as error:
        logger.warning("the model failed in mid-answer")
        raise _problem(None, error.body, {}) from error
    except (openai.APITimeoutError, httpx2.TimeoutException) as error:
        logger.warning("the model timed out")
        raise GatewayTimeout("the model did not answer in time") from error
    except (openai.OpenAIError, httpx2.HTTPError) as error:
        logger.warning("the model failed: %s", type(error).__name__)
        raise BadGateway("the model's server cannot be reached or broke off") from error


@contextmanager
def as_refusals() -> Iterator[None]:
    """Turn what a provider refuses of a client's own request into a NotAllowed, in its words."""
    try:
        yield
    except (openai.BadRequestError, openai.NotFoundError, openai.UnprocessableEntityError) as error:
        said = error.body.get("message") if isinstance(error.body, dict) else None
        words = said[:REFUSAL_MOST] if isinstance(said, str) else "no reason was given"
        logger.warning("the model's provider refused a request: status %d", error.status_code)
        raise NotAllowed(f"the model's provider refused it: {words}") from error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait, None where it asks for none.

    `Retry-After` holds seconds or a date; some providers say it in milliseconds as well.
    """
    with_unit = ((headers.get("retry-after-ms"), 1000), (headers.get("retry-after"), 1))
    for text, in_a_second in with_unit:
        try:
            seconds = float(text or "nan") / in_a_second
        except ValueError:
            seconds = _until(text or "")
        if math.isfinite(seconds):
            return min(max(seconds, 0.0), float(WAIT_MOST))
    return None


def is_used_up(error: openai.APIStatusError) -> bool:
    """Tell whether an account has nothing left to spend, which no waiting changes."""
    return bool(_QUOTA.search(str(error.body)))


def is_unknown_parameter(error: openai.APIError) -> bool:
    """Tell whether a server refused a request for a parameter that it does not know."""
    is_refusal = isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError)
    return is_refusal and bool(_UNKNOWN_PARAMETER.search(str(error.body)))


def _problem(status: int | None, body: object, headers: Mapping[str, str]) -> Problem:
    text = str(body)
    asked = retry_after(headers)
    wait = None if asked is None else max(1, math.ceil(asked))
    if _QUOTA.search(text):
        return BadGateway("the account at the model's provider has nothing left to spend")
    if status == HTTPStatus.TOO_MANY_REQUESTS or (status is None and _BUSY.search(text)):
        return Unavailable(
            "the model's provider takes no more requests for now",
            retry_after_seconds=wait or WAIT_DEFAULT,
        )
    if _TOO_LONG.search(text):
        return BadGateway("the conversation is too long for the model")
    detail = _DETAILS.get(status, "the model answered with an error")
    return BadGateway(detail, retry_after_seconds=wait)


def _until(date: str) -> float:
    """Return the seconds until an HTTP date; not a number for what is none."""
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return math.nan
