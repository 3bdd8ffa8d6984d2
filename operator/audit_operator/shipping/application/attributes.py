"""Names of the attributes of an application's records: those that are shipped, and notes between statements."""

from __future__ import annotations

from audit_operator.shipping.application.standard import StandardField
from audit_operator.shipping.collector.attributes import QUARANTINE

PATH, RESOLVED = "log.file.path", "log.file.path_resolved"
"""Of the file, as the collector's receiver says it; the second with all links followed."""
READ = "op.read."
"""What was read of the mandatory fields."""
WITHHELD_NOTE = "op.withheld"
"""That nothing of a line may leave the pod."""

FILES = "files"
"""The entry of the policy that names the record's file."""

ATTRIBUTES = {
    StandardField.USER: "username",
    StandardField.ACTION: "action",
    StandardField.RESULT: "result",
    StandardField.ID: "id",
    StandardField.CORRELATION_ID: "correlationId",
}
"""Under which name a record carries a field. The user has the name that users have in records of audit events."""

SHIPPED = (
    "cluster",
    "namespace",
    "policy",
    "pod",
    FILES,
    "source",
    "stream",
    *ATTRIBUTES.values(),
    "cut",
    "withheld",
    QUARANTINE,
)
"""All that a record has in the end.

`source` is the file, by volume and path. `stream` is the same for the records of one file of one pod, and for no
others; a new pod of the same name has other streams. `cut` has the bytes of a line of which not all is in the record,
`withheld` those of one of which nothing is.
"""


def read(name: StandardField) -> str:
    """Name of the attribute that holds what was read of a field."""
    return f"{READ}{name}"
