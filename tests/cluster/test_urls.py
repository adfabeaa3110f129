"""What REDIS_URL may say of a cluster or of sentinels, and what must be said beside it."""

import pytest
from pydantic import ValidationError

from api.core import redis_urls
from api.core.settings import Settings

BROKER = "redis://broker.example:6379/0"


def made(**urls: str) -> Settings:
    return Settings(_env_file=None, **urls)  # type: ignore[arg-type] # texts only


def test_the_servers_of_a_cluster_have_what_its_url_says() -> None:
    url = "rediss+cluster://user:a%40b@one:7000,[::1]:7001/0?ssl_ca_certs=/etc/ca.crt"

    assert redis_urls.is_cluster(made(redis_url=url, celery_broker_url=BROKER).redis)
    assert redis_urls.servers(url) == [
        "rediss://user:a%40b@one:7000/0?ssl_ca_certs=/etc/ca.crt",
        "rediss://user:a%40b@[::1]:7001/0?ssl_ca_certs=/etc/ca.crt",
    ]
    assert redis_urls.server(url, "fd00::2", 7002).startswith("rediss://user:a%40b@[fd00::2]:7002/")


def test_a_cluster_needs_a_broker_elsewhere() -> None:
    """Celery cannot use one: what is accepted would never be drained."""
    with pytest.raises(ValidationError, match="CELERY_BROKER_URL is required"):
        made(redis_url="redis+cluster://one:7000")
    with pytest.raises(ValidationError, match="must start with redis://"):
        made(redis_url=BROKER, celery_broker_url="redis+cluster://one:7000")


def test_sentinels_are_asked_for_a_master_that_has_what_the_url_says() -> None:
    url = "rediss+sentinel://user:a%40b@one,two:7001,[::1]/my-log/3?ssl_ca_certs=/etc/ca.crt"

    chosen = made(redis_url=url, celery_broker_url=BROKER).redis
    assert redis_urls.is_sentinels(chosen)
    assert redis_urls.service(chosen) == "my-log"
    assert redis_urls.servers(chosen) == [
        "rediss://one:26379/0?ssl_ca_certs=/etc/ca.crt",
        "rediss://two:7001/0?ssl_ca_certs=/etc/ca.crt",
        "rediss://[::1]:26379/0?ssl_ca_certs=/etc/ca.crt",
    ]
    assert (
        redis_urls.server(chosen, "three", 6379)
        == "rediss://user:a%40b@three:6379/3?ssl_ca_certs=/etc/ca.crt"
    )
    assert redis_urls.server("redis+sentinel://one/my-log", "three", 1) == "redis://three:1/0"


def test_sentinels_need_a_broker_that_is_named() -> None:
    with pytest.raises(ValidationError, match=r"CELERY_BROKER_URL is required .* sentinel://…"):
        made(redis_url="redis+sentinel://one/my-log")


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://one:26379",
        "redis+sentinel://one:26379/",
        "redis+sentinel://one:26379/my-log/first",
        "redis+sentinel://one:26379/my-log/0?db=1",
        "redis+sentinel://one:port/my-log",
        "redis+sentinel://one,/my-log",
        "redis+sentinels://one/my-log",
        "redis+cluster://one:7000/1",
        "redis+cluster://one:7000?db=1",
        "redis+cluster://one:7000,two:port",
        "redis+cluster://one:7000,",
        "redis+cluster://",
        "redis+clusters://one:7000",
    ],
)
def test_what_names_neither_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        made(redis_url=url, celery_broker_url=BROKER)
