"""Which addresses the operator connects to when it asks stores, and in which threads names are looked up.

A tenant chooses the address of their store, and may choose the name server that answers for it. So names of tenants'
stores are looked up apart from all others: one that never answers holds a thread for half a minute, and the threads of
the event loop are what plans are made in. And what only the operator's own machine can reach is nobody's store.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from aiohttp.abc import AbstractResolver, ResolveResult

from audit_operator.plan.local_addresses import is_local

_THREADS = 32
"""More than can ever hang: five tenants are asked at a time, for 10 s each, and a name is looked for up to 40 s."""
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


@dataclass(frozen=True, slots=True)
class Network:
    """A way to stores.

    Attributes:
        foreign: whether tenants choose the addresses: then what is local to this machine is out of bounds.
    """

    foreign: bool = False
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_THREADS, thread_name_prefix="names-of-stores"), repr=False
    )

    def admits(self, host: str) -> bool:
        """Whether a host may be connected to, as far as it is an address; what a name stands for is seen later."""
        try:
            return not self.foreign or not is_local(ipaddress.ip_address(host.partition("%")[0].strip("[]")))
        except ValueError:
            return True

    def resolver(self) -> AbstractResolver:
        """For one session."""
        return _Resolver(self)

    async def addresses(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        """The addresses of a name that may be connected to. Raises OSError where there are none."""
        loop = asyncio.get_running_loop()
        infos = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        )
        found: list[ResolveResult] = [
            {
                "hostname": host,
                "host": str(address[0]),
                "port": port,
                "family": each,
                "proto": protocol,
                "flags": _NUMERIC,
            }
            for each, _, protocol, _, address in infos
            if self.admits(str(address[0]))
        ]
        if not found:
            raise OSError("the name stands for no address that may be connected to")
        return found


@dataclass(frozen=True, slots=True)
class _Resolver(AbstractResolver):
    network: Network

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return await self.network.addresses(host, port, family)

    async def close(self) -> None:
        """Its threads serve others, too."""
