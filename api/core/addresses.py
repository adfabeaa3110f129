"""IP addresses of clients and proxies, and the names that a server is asked by."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

#: `name`, `name:port`, `[IPv6 address]:port`.
_HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[^][:/?#@\s]+))(?::[0-9]*)?")
_ORIGIN: Final = re.compile(r"(?P<scheme>https?)://(?P<host>[^/?#@\s]+)/?")
#: What a browser sends as `Origin`.
_EXACT: Final = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_DEFAULT_PORT: Final = {"http": ":80", "https": ":443"}


def parse(text: str) -> IPv4Address | IPv6Address:
    """Return an address; an IPv4-mapped IPv6 address (`::ffff:…`) as IPv4. Raises ValueError."""
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def networks(text: str) -> tuple[Network, ...]:
    """Return a list's addresses and networks, separated by commas. Raises ValueError."""
    return tuple(ip_network(one.strip()) for one in text.split(","))


def host_name(host: str) -> str:
    """Return the name or address of a `Host` header, in lower case and without its port.

    Raises ValueError if it is none.
    """
    found = _HOST.fullmatch(host.lower())
    if not found:
        raise ValueError("it is no host")
    return (found["v6"] or found["name"]).removesuffix(".")


def host_names(text: str) -> frozenset[str]:
    """Return the names of a list, separated by commas. Raises ValueError."""
    return frozenset(host_name(one.strip()) for one in text.split(","))


def is_address(name: str) -> bool:
    """Return whether a name is an IP address."""
    try:
        parse(name)
    except ValueError:
        return False
    return True


def is_loopback(name: str) -> bool:
    """Return whether a name or address is one that this machine has for itself."""
    try:
        return parse(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def origins(text: str) -> frozenset[str]:
    """Return a list's origins as browsers write them, separated by commas. Raises ValueError."""
    found = frozenset(origin(one.strip()) for one in text.split(","))
    if not all(_EXACT.fullmatch(one) for one in found):
        raise ValueError("an origin is exact and as browsers write it: no *, other letters as xn--")
    return found


def origin(text: str) -> str:
    """Return an origin as browsers write it (`https://chat.example.com`). Raises ValueError."""
    found = _ORIGIN.fullmatch(text.lower())
    if not found:
        raise ValueError("an origin is http:// or https:// and a host, without a path")
    host_name(found["host"])
    return f"{found['scheme']}://{found['host'].removesuffix(_DEFAULT_PORT[found['scheme']])}"
