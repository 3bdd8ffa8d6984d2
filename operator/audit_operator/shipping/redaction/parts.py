"""Parts of redaction, in the order in which they run: what an event says where one of them failed."""

from __future__ import annotations

from enum import StrEnum


class Part(StrEnum):
    """See above; `withholding` asks which ones had run before."""

    FIELDS = "fields"
    """Fields that no event has."""
    OBJECTS = "objects"
    """Objects of which only what is harmless stays."""
    PARAMETERS = "parameters"
    """Of `requestURI`."""
    PATCHES = "patches"
    """What webhooks wrote into objects."""
    LAST_APPLIED = "last-applied"
    USERNAME = "username"
    ADDRESSES = "addresses"
    PROFILES = "profiles"
    """Patterns that are built in."""
    PATTERNS = "patterns"
    """Patterns of policies."""
    KEYS = "keys"
    """Keys of pseudonyms, which no record may keep."""
    LINE = "line"
    """What is left of a line that is no event."""

    @property
    def later(self) -> tuple[Part, ...]:
        """Those that begin once this one has run as a whole."""
        parts = list(Part)
        return tuple(parts[parts.index(self) + 1 :])
