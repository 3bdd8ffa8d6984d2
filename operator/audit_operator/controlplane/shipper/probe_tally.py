"""How many events of live probes a collector has counted for each condition of a detection.

Few numbers, which a node can report, where the series themselves are thousands and go nowhere but to Prometheus.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.controlplane.shipper.crowding import labels_of
from audit_operator.detections.series import DETECTION, PROBE

if TYPE_CHECKING:
    from audit_operator.controlplane.shipper.counts import Counts

_PROBE = f'{PROBE}="true"'


@dataclass(slots=True)
class ProbeTally:
    """Adds up what is new; so a sum never falls, whatever becomes of series."""

    _last: dict[str, float] = field(default_factory=dict)
    _sums: Counter[str] = field(default_factory=Counter)

    def see(self, counts: Counts | None) -> tuple[tuple[str, int], ...] | None:
        """Sums by condition; None where nothing is counted."""
        if counts is None:
            return None
        found = {}
        for line in counts.lines:
            series, _, value = line.rpartition(" ")
            if _PROBE in series and (labels := labels_of(series)).get(PROBE) == "true":
                found[series] = float(value)
                self._sums[labels.get(DETECTION, "")] += max(0, int(found[series] - self._last.get(series, 0.0)))
        self._last = found
        return tuple(sorted(self._sums.items()))
