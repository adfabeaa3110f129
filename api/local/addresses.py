"""Addresses of the processes of a stack."""

from typing import Final

LOOPBACK: Final = "127.0.0.1"
#: Addresses that mean "all" to a server that listens, and nothing to a client that connects.
_CONNECTABLE: Final = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 - nothing is bound


def base_url(host: str, port: int) -> str:
    """Return the URL of a server; an IPv6 address goes in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def client_url(host: str, port: int) -> str:
    """Return the URL at which a client on this machine reaches a server that listens on `host`."""
    return base_url(_CONNECTABLE.get(host, host), port)
