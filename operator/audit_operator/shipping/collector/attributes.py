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
PROVED, FAILED = "op.proved", "op.failed"
"""Whether redaction ran as a whole, and the part of it that failed if it did not."""

QUARANTINE = "quarantine"
"""Why a line is no audit event; absent if it is one."""
CUT = "cut"
"""Bytes of a line of which not all is shipped."""
UNREADABLE = "unreadable"
"""What of an event could not be read; absent if all could."""
UNDISCLOSED = "undisclosed"
"""What of redaction failed, so that all that it may have left is withheld; absent if nothing did."""

SHIPPED = (
    "cluster",
    "auditID",
    "stage",
    "level",
    "verb",
    "username",
    "namespace",
    "unseen",
    "apiGroup",
    "resource",
    "subresource",
    "name",
    "code",
    "below",
    CUT,
    UNREADABLE,
    UNDISCLOSED,
    "route",
    "policies",
    QUARANTINE,
)
"""All that a record has in the end: few, so that no sender can make a store keep a field for each value.

`unseen` stands in place of `namespace` for one that nobody has seen: stores keep a stream for each namespace, and a
request can name any. `below` is the level that was wanted of an event that was recorded lower; `policies` those that
ask for the records of its namespace, `NAMESPACE/NAME` or the name of one for the whole cluster, after each other with a
comma.
"""

LONGEST = 1024
"""Bytes of an attribute. The body says the rest."""
