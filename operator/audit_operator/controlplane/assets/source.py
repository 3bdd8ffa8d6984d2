"""What the sources of a binary have in common: how they fail."""

from __future__ import annotations


class SourceFailed(Exception):  # noqa: N818  # says that one source has failed, while the next one may still work
    """One source cannot provide a binary; the message says why, for the list of what was tried."""
