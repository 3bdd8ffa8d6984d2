"""What would change if an audit policy of somebody else were replaced: shown before anybody allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, Severity
from audit_operator.coverage.comparison import diff_coverage
from audit_operator.coverage.verdicts import assess
from audit_operator.policy.loading import load_policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.api.observations import ApiServerObservation
    from audit_operator.coverage.catalogue import Catalogue
    from audit_operator.coverage.verdicts import ActionCoverage
    from audit_operator.plan.compiled import CompiledPolicy

ADOPTION = "adoption-would-change"


def differences(
    servers: Iterable[ApiServerObservation], compiled: CompiledPolicy, catalogue: Catalogue
) -> Iterator[Finding]:
    """A finding for each critical action that is recorded otherwise by a policy that awaits adoption, worse ones first.

    Nodes with the same policy are named together.
    """
    nodes: dict[str, list[str]] = {}
    for server in servers:
        if server.foreign_policy:
            nodes.setdefault(server.foreign_policy, []).append(server.name)
    for text, names in nodes.items():
        where = f"on {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004
        loaded = load_policy(text, kubernetes=compiled.version)
        if loaded.policy is None:
            said = f"the audit policy {where} cannot be read, to compare it"
            yield Finding(id=ADOPTION, severity=Severity.WARNING, message=said)
            continue
        changes = diff_coverage(assess(loaded.policy, catalogue), assess(compiled.policy, catalogue))
        if not changes:
            said = f"the audit policy {where} and the compiled one record every critical action alike"
            yield Finding(id=ADOPTION, severity=Severity.INFO, message=said, mend="set spec.adopt: true to replace it")
        for change in sorted(changes, key=lambda each: not each.is_worse):
            yield Finding(
                id=ADOPTION,
                severity=Severity.WARNING if change.is_worse else Severity.INFO,
                message=f"{change.action}: {_verdict(change.before)} now {where}, {_verdict(change.after)} if adopted",
                mend="ask for it in a policy before you adopt" if change.is_worse else "set spec.adopt: true",
            )


def _verdict(coverage: ActionCoverage | None) -> str:
    return f"{coverage.verdict.value} at {coverage.level}" if coverage else "not judged"
