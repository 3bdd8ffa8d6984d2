"""What the operator itself does with a store: reach it, write one record, find records again, ask how it is.

The shipper writes; this package finds out whether what was written is there. Whatever a store answers, or does not, is
a value with a reason and a mend. What a store's answer says in words is never passed on: the address may be a tenant's
choice, and an answer shown in a status would let the operator read for them what they cannot reach.
"""

from audit_operator.sinks.access import Access, Connection
from audit_operator.sinks.opening import open_store
from audit_operator.sinks.store import (
    Accepted,
    Failure,
    Found,
    Health,
    Reachable,
    Reason,
    Record,
    Store,
    Unsupported,
)

__all__ = [
    "Accepted",
    "Access",
    "Connection",
    "Failure",
    "Found",
    "Health",
    "Reachable",
    "Reason",
    "Record",
    "Store",
    "Unsupported",
    "open_store",
]
