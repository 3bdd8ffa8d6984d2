"""Detections of our objects that cannot fire, as findings with file and line: what status will say of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from audit_operator.cli.inputs import facts_in, places_of
from audit_operator.cli.offline import with_control_plane
from audit_operator.plan import plan
from audit_operator.plan.detection_answers import findings, told, verdict
from audit_operator.plan.detection_questions import questions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from audit_operator.api.findings import Finding
    from audit_operator.cli.inputs import Text


def lint_detections(texts: Sequence[Text]) -> Iterator[Finding]:
    """Judge the detections in these texts on the policies in them: of what else is in a cluster, nothing is known."""
    snapshot = with_control_plane(facts_in(texts).snapshot)
    if not any(each.spec.detections for each in snapshot.policies()):
        return
    places = places_of(texts)
    for ref, said in told(questions(snapshot, plan(snapshot)), verdict).items():
        for each in findings(said):
            located = places[ref](replace(each, object=ref))
            yield replace(located, message=f"with the policies given here, {located.message}")
