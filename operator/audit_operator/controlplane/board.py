"""What every board has in common: a place in the cluster where operator and nodes speak with each other."""

from __future__ import annotations


class BoardUnavailable(Exception):  # noqa: N818  # a state of the cluster
    """It could not be read or written now; the message says why."""
