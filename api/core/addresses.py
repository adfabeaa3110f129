"""IP addresses of clients."""

from ipaddress import IPv4Address, IPv6Address, ip_address


def parse(text: str) -> IPv4Address | IPv6Address:
    """Return an address; an IPv4-mapped IPv6 address (`::ffff:…`) as IPv4. Raises ValueError."""
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address
