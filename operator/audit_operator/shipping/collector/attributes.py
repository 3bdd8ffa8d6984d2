"""Names of a record's attributes: those that are shipped, and those that only pass notes between processors."""

from __future__ import annotations

RAW = "op.raw"
"""The line as it was read."""
MODIFIED = "op.modified"
"""Whether the body says something else than the line that was read."""
KEY = "op.key."
"""What is looked up next."""
STATE = "op.state."
"""What was found."""

QUARANTINE = "quarantine"
"""Why a line is no audit event; absent if it is one."""

SHIPPED = (
    "cluster",
    "auditID",
    "stage",
    "level",
    "verb",
    "username",
    "namespace",
    "apiGroup",
    "resource",
    "subresource",
    "name",
    "code",
    "below",
    "route",
    QUARANTINE,
)
"""All that a record has in the end: few, so that no sender can make a store keep a field for each value."""
