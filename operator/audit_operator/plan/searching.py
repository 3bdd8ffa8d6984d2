"""Whether records of a policy can be searched at once for as long as it asks (`hot`), in one of its sinks.

Judged across sinks: a bucket for years and a VictoriaLogs for three months are together what an auditor wants. A store
counts for as long as it has said itself that it keeps records searchable, and for those namespaces that it was asked
about.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.conditions import ConditionType, Reason
from audit_operator.plan.claim import Claim, false, unknown
from audit_operator.retention.demand import period
from audit_operator.retention.searchable import is_searchable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.retention_observations import RetentionObservation
    from audit_operator.plan.retention import HotRecords

_TYPE = ConditionType.RETENTION_ENFORCED
_MEND = "ship them to a sink of type VictoriaLogs or Loki that keeps them for so long; buckets and files are archives"


@dataclass(slots=True)
class Searching:
    """Judges policies by what was `seen` of sinks."""

    seen: Mapping[ObjectRef, RetentionObservation]
    _known: dict[ObjectRef, Mapping[str, str]] = field(default_factory=dict)

    def judge(self, asked: HotRecords) -> Claim | None:
        """None: it is as asked."""
        left = set(asked.namespaces)
        for sink in asked.sinks:
            known = self._of(sink)
            left -= {name for name in left if is_searchable(known.get(name, ""), asked.hours)}
        if not left:
            return None
        said = f"{period(asked.hours)} of records are to be searchable at once"
        unsaid = [sink for sink in asked.sinks if any(name not in self._of(sink) for name in left)]
        if unsaid:
            found = self.seen.get(unsaid[0])
            reason = Reason.UNSUPPORTED if found is not None and found.unsupported else Reason.NOT_VERIFIED
            return unknown(_TYPE, reason, f"{said}, and {unsaid[0]} has not said for how long they are so there")
        return false(
            _TYPE,
            Reason.PARTIAL,
            f"{said}, and those of {len(left)} namespaces are so in no sink of the policy ({_MEND})",
        )

    def _of(self, sink: ObjectRef) -> Mapping[str, str]:
        """By namespace, for how long its records can be searched; what was not said lately is absent."""
        if sink not in self._known:
            found = self.seen.get(sink)
            fresh = found is not None and found.asked and not found.trouble
            self._known[sink] = {
                name: each.searchable
                for each in (found.status.classes if found is not None and fresh else ())
                if found is not None and not found.trouble_of(each.name)
                for group in each.told
                for name in group.namespaces
            }
        return self._known[sink]
