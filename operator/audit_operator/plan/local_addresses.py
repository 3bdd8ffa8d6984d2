"""Which addresses mean the machine that connects, or its link: a tenant's store is at none of them.

There a node, a pod and a cloud keep what trusts whoever reaches it: metadata services, agents, the API server's own
port. A name may stand for such an address all the same; that only whoever looks it up can see, or a network policy.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "fd20:ce::254", "168.63.129.16", "100.100.100.200", "192.0.0.192"))
)
"""Of AWS, Google, Azure, Alibaba and Oracle, where these are not link-local."""
_NAMES = re.compile(
    r"(.*\.)?(localhost|localhost\.localdomain|ip6-localhost|ip6-loopback|metadata\.google\.internal|metadata)"
)
# https://url.spec.whatwg.org/#ends-in-a-number-checker: no name ends so, and resolvers disagree about what it means.
_ENDS_IN_A_NUMBER = re.compile(r"(.*\.)?([0-9]+|0[xX][0-9a-fA-F]*)")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_local_url(url: str) -> bool:
    """Whether the host of an address, as users write one, is local."""
    return is_local_host(urlsplit(url).hostname or "")


def is_local_host(host: str) -> bool:
    """Whether a host is local as it is written; a number in any but the usual form counts as local."""
    host = host.strip("[]").rstrip(".").lower()
    try:
        return is_local(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return bool(_NAMES.fullmatch(host) or _ENDS_IN_A_NUMBER.fullmatch(host))


def is_local(address: Address) -> bool:
    """Of this machine or of its link, or of no single machine; or where clouds have their metadata services."""
    inner = address
    if isinstance(address, ipaddress.IPv6Address):
        nat64 = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
        inner = address.ipv4_mapped or address.sixtofour or nat64 or address
    is_nobodys = inner.is_unspecified or inner.is_multicast or str(inner).startswith("0.")
    return inner.is_loopback or inner.is_link_local or is_nobodys or inner in _METADATA
