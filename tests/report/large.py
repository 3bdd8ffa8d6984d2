"""A report in which every namespace is unlike every other, so that nothing can be put together."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import TYPE_CHECKING

from audit_operator.api.policy_status import Verdict
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.report.judging import count
from audit_operator.report.model import Group, ReportedAction
from tests.report.sample import sample

if TYPE_CHECKING:
    from audit_operator.report.model import Report

_VERDICTS = (*(Verdict.COVERED,) * 5, Verdict.PARTIAL, Verdict.GAP, Verdict.LEAK)


def large(namespaces: int) -> Report:
    """All actions of the catalogue in so many namespaces, called team-0000 and so on."""
    seeded, actions = random.Random(7), builtin_catalogue().actions
    groups = tuple(
        Group(namespaces=(f"team-{number:04}",), verdicts={each.id: seeded.choice(_VERDICTS) for each in actions})
        for number in range(namespaces)
    )
    where: defaultdict[tuple[str, Verdict], list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        for action, verdict in group.verdicts.items():
            if verdict is not Verdict.COVERED:
                where[action, verdict].append(index)
    findings = tuple(
        sample().findings[0].model_copy(update={"action": action, "verdict": verdict, "groups": tuple(indexes)})
        for (action, verdict), indexes in where.items()
    )
    listed = tuple(ReportedAction(id=each.id, title=each.title, severity=each.severity) for each in actions)
    changed = {"actions": listed, "groups": groups, "findings": findings, "counts": count(groups)}
    return sample().model_copy(update=changed)
