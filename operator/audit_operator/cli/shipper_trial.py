"""`shipper render --try`: what a collector makes of known lines with the configuration that was rendered."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.controlplane.shipper.canary import Outcome, TrialTimes, try_out
from audit_operator.controlplane.shipper.collector import places_of
from audit_operator.plan.moved_files import moved
from audit_operator.shipping.canary.planted import Canary, key_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from audit_operator.plan.collector_files import CollectorFiles, Places
    from audit_operator.shipping.canary.comparison import Arrived
    from audit_operator.shipping.canary.planted import Planted

_PATIENCE = TrialTimes(most=120.0)
_SHOWN = ("level", "quarantine", "username")


def show_trial(files: CollectorFiles, places: Places, collector: Path) -> bool:
    """Print what became of each line; whether all is as it must be."""
    with tempfile.TemporaryDirectory(prefix="audit-operator-") as folder:
        there = moved(files, places, places_of(places.audit_log))
        trial = try_out(Path(folder), collector, there, times=_PATIENCE)
    canary = Canary.decoded(files.canary)
    for planted in canary.planted if canary and trial.arrived else ():
        print(f"{planted.name}: {'; '.join(_became(planted, trial.arrived)) or 'nowhere'}")
    for said in trial.said:
        print(f"error: {said}", file=sys.stderr)
    if canary and canary.untried:
        print(f"No line was about {canary.untried}.")
    print(_SUMMARY[trial.outcome])
    return trial.outcome is Outcome.PASSED


_SUMMARY = {
    Outcome.PASSED: "All lines became what they must.",
    Outcome.FAILED: "Not all lines became what they must: do not use this configuration.",
    Outcome.UNFINISHED: "It could not be tried to the end: whether it loses anything is not known.",
}


def _became(planted: Planted, arrived: Mapping[str, Sequence[Arrived]]) -> Iterator[str]:
    for exporter, records in arrived.items():
        for record in records:
            if key_of(record) == planted.key:
                said = (f"{name} {record[name]}" for name in _SHOWN if record.get(name))
                yield f"{exporter} ({', '.join(said)})"
