"""A selection in LogQL. Every value is a literal of `quoting`; times and the limit stand beside the query."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from audit_operator.shipping.exporters import CLUSTER, NAMESPACE
from audit_operator.sinks.quoting import quoted
from audit_operator.sinks.selection import Order

if TYPE_CHECKING:
    from audit_operator.sinks.selection import Scope, Selection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def form(selection: Selection, scope: Scope) -> dict[str, str]:
    """What to ask /loki/api/v1/query_range for one namespace; Loki's `end` is not included."""
    stages = [f"{NAMESPACE}={quoted(scope.namespace)}"]  # an empty value is that of records without the attribute
    stages += [f"{name}={quoted(value)}" for name, value in selection.equal]
    if selection.clusters:
        stages.append(" or ".join(f"{CLUSTER}={quoted(each)}" for each in selection.clusters))
    contained = f" |= {quoted(selection.text)}" if selection.text else ""
    return {
        "query": f'{{service_name=~".+"}}{contained}' + "".join(f" | {each}" for each in stages),
        "start": nanoseconds(max(selection.since, scope.since or selection.since)),
        "end": nanoseconds(selection.until),
        "limit": str(selection.limit + 1),
        "direction": "backward" if selection.order is Order.NEWEST else "forward",
    }


def nanoseconds(moment: datetime) -> str:
    """Since 1970."""
    return str((moment - _EPOCH) // timedelta(microseconds=1) * 1000)
