"""Where the store of a sink is, whichever section of the spec says it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from audit_operator.plan.sinks import Sink

_DEFAULT_PORTS = {"http": 80, "https": 443}


def address_of(sink: Sink) -> tuple[str, str]:
    """The field that decides where the store is, and its address; the latter is empty for a volume."""
    spec = sink.spec
    if spec.otlp is not None:
        return "spec.otlp.endpoint", spec.otlp.endpoint
    if spec.s3 is not None:
        named = spec.s3.endpoint
        return (
            ("spec.s3.endpoint", named) if named else ("spec.s3.region", f"https://s3.{spec.s3.region}.amazonaws.com")
        )
    sections = {
        "victoriaLogs": spec.victoria_logs,
        "loki": spec.loki,
        "openSearch": spec.open_search,
        "elasticsearch": spec.elasticsearch,
    }
    return next(((f"spec.{name}.url", each.url) for name, each in sections.items() if each is not None), ("spec", ""))


def origin(url: str) -> str:
    """Scheme, host and port of an address; empty if it has not all three."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return ""
    host = (parts.hostname or "").rstrip(".")
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}" if host and port else ""
