"""What older API servers refuse: a policy that does not load keeps the API server from starting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.findings import Severity
from audit_operator.policy.gates import GROUP_WILDCARD
from audit_operator.policy.lint.check import WHOLE_ONLY, Check, Report, Subject
from audit_operator.policy.predicate import ANY_GROUP

if TYPE_CHECKING:
    from collections.abc import Iterator


def group_wildcards(subject: Subject) -> Iterator[Report]:
    """`group: "*"`, which API servers before 1.36 refuse to start with."""
    if subject.version is not None and subject.version >= GROUP_WILDCARD.since:
        return
    for index, rule in subject.rules():
        for number, entry in enumerate(rule.resources):
            if entry.group == ANY_GROUP:
                yield Report(
                    'group "*" keeps API servers before Kubernetes 1.36 from starting',
                    "list the groups, or leave resources out",
                    index,
                    ("resources", number, "group"),
                    None if subject.version else Severity.INFO,
                )


CHECKS = (
    Check(
        "group-wildcard-version",
        Severity.ERROR,
        'group: "*" for an API server before 1.36',
        group_wildcards,
        WHOLE_ONLY,  # the compiler spells a policy of ours for the version at hand
    ),
)
