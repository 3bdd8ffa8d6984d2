"""What is wrong on the way from shippers to a sink, as a person can act on it: where to look, and what to change.

Nothing is said that changes by itself: a count in a status would be written each time that it changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.conditions import ConditionType, Reason
from audit_operator.api.observations import Flow
from audit_operator.plan.claim import Claim, false
from audit_operator.plan.sink_shipping import lag_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.observations import ShipperObservation


def trouble(sink: ObjectRef, exporter: str, shippers: Sequence[ShipperObservation]) -> Claim | None:
    """The worst that shippers have seen of the way through an exporter, with the first that saw it; None: nothing."""
    for flow, said in ((Flow.LOSSY, _lossy), (Flow.BACKLOG, _backlog)):
        seen = [each for each in shippers if each.flow(exporter) is flow]
        if seen:
            return said(sink, exporter, seen)
    return None


def _lossy(sink: ObjectRef, exporter: str, seen: Sequence[ShipperObservation]) -> Claim:
    figures = [each.figures for shipper in seen for each in shipper.exporters if each.exporter == exporter]
    mends = {
        "failed: the store refuses them for good, or a sink with spec.delivery.guarantee BestEffort was away for too "
        f"long: {_check(sink)} says what the store answers, docs/sinks.md what it takes": any(
            each.failed for each in figures
        ),
        "not_queued: the sink was away for longer than its queue lasts, or the disk of the shipper is full; look at "
        "the store first": any(each.not_queued for each in figures),
    }
    applying = [mend for mend, applies in mends.items() if applies] or list(mends)
    return false(
        ConditionType.SHIPPING,
        Reason.LOSSY,
        f"{sink}, shipper {seen[0].node}: records were given up lately, or could not be kept (see "
        f"audit_operator_sink_records_total of this sink by outcome; {'; '.join(applying)})",
    )


def _backlog(sink: ObjectRef, exporter: str, seen: Sequence[ShipperObservation]) -> Claim:
    waited = max(each.waiting(exporter) for each in seen)
    since = f", for {lag_text(waited)} or longer" if waited else ""
    return false(
        ConditionType.SHIPPING,
        Reason.BACKLOG,
        f"{sink}, shipper {seen[0].node}: records wait, since the sink takes none, or fewer than there are{since} "
        f"({_check(sink)} says whether its store takes any; if so, see that shipper {seen[0].node} reaches the address "
        "in the sink's spec, with its log and networkPolicy.sinkEgress of the chart; if it does, give the store more "
        "CPU, or let policies record less: audit-operator replay --suggest)",
    )


def _check(sink: ObjectRef) -> str:
    name = f"{sink.namespace}/{sink.name}" if sink.namespace else sink.name
    return f"`audit-operator sinks check {name} --write-read`"
