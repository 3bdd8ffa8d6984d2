"""Which clients may send: those whose certificate has one of the names that were given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import BaseTransport
    from collections.abc import Iterator, Mapping, Sequence


def is_allowed(transport: BaseTransport | None, allowed: Sequence[str]) -> bool:
    """Whether the certificate that the client has proved has an allowed name; without any names, every client may."""
    if not allowed:
        return True
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    return not set(allowed).isdisjoint(names(certificate or {}))


def names(certificate: Mapping[str, Any]) -> Iterator[str]:
    """The names of a certificate, as `ssl.SSLSocket.getpeercert` shows it: common names, DNS names and URIs."""
    for part in certificate.get("subject", ()):
        yield from (value for kind, value in part if kind == "commonName")
    yield from (value for kind, value in certificate.get("subjectAltName", ()) if kind in ("DNS", "URI"))
