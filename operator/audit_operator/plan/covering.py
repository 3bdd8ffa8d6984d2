"""The coverage of every policy: verdicts on the audit policy of its control plane, for the requests it is about.

An AuditPolicy is judged on its namespace, a ClusterAuditPolicy on the whole cluster. Namespaces that the compiled
policy treats alike are judged once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.api.parsing import to_json
from audit_operator.api.policy_status import MAX_FINDINGS, ActionFinding, CoverageBasis, NotAuditable, Verdict
from audit_operator.api.policy_status import Coverage as CoverageStatus
from audit_operator.coverage.callers import SAMPLE_NAMESPACE
from audit_operator.coverage.catalogue import Catalogue
from audit_operator.coverage.loading import builtin_catalogue, load_catalogue
from audit_operator.coverage.merging import merge
from audit_operator.coverage.restriction import Restriction, Restrictions
from audit_operator.coverage.suggestions import Suggestion, suggest
from audit_operator.coverage.verdicts import ActionCoverage, Coverage, assess, assess_restriction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.plan.compiled import CompiledPolicy
    from audit_operator.plan.snapshot import Snapshot
    from audit_operator.policy.model import Policy

_ANYWHERE = ""
_LONGEST = 1024
"""Most characters of one line in status."""
_WORST_FIRST = (Verdict.LEAK, Verdict.GAP, Verdict.PARTIAL)


def catalogue_for(plane: AuditControlPlane, snapshot: Snapshot) -> tuple[Catalogue, tuple[Finding, ...]]:
    """The critical actions that a control plane is judged on; a catalogue that cannot be read is left out, and said."""
    catalogue, findings = builtin_catalogue(), list[Finding]()
    texts = {(each.namespace, each.name): each.text for each in snapshot.catalogues}
    for number, wanted in enumerate(plane.spec.coverage.catalogue_refs if plane.spec.coverage else ()):
        source = ObjectRef("ConfigMap", wanted.name, wanted.namespace)
        text = texts.get((wanted.namespace, wanted.name))
        if text is None:
            findings.append(
                Finding(
                    id="catalogue-not-found",
                    severity=Severity.ERROR,
                    message=f"there is no {source} with a key catalogue.yaml",
                    mend="create it with the label audit-operator.dev/catalogue",
                    path=f"spec.coverage.catalogueRefs[{number}]",
                )
            )
            continue
        addition = load_catalogue(text, source=source)
        merged = merge(catalogue, addition, source=source) if isinstance(addition, Catalogue) else addition
        if isinstance(merged, Catalogue):
            catalogue = merged
        else:
            findings.extend(merged)
    return catalogue, tuple(findings)


@dataclass(slots=True)
class CoverageOfPlane:
    """Judges the policies of one control plane."""

    compiled: CompiledPolicy
    catalogue: Catalogue
    basis: CoverageBasis
    _restrictions: Restrictions = field(init=False)

    def __post_init__(self) -> None:
        self._restrictions = Restrictions(self.compiled.policy)

    def status_for(self, namespace: str) -> dict[str, Any]:
        """The coverage in a namespace, or of the whole cluster for ``""``, as it stands in status."""
        policy = self.compiled.policy
        if not namespace:
            judged, indexes = _judge_cluster(policy, self.catalogue), tuple(range(len(policy.rules)))
        else:
            special = namespace if namespace in self.catalogue.named_namespaces else _ANYWHERE
            restriction = self._restrictions.to(namespace)
            judged, indexes = _judge_restriction(restriction.policy, self.catalogue, special), restriction.indexes
        status = {**judged.status, "digest": self.compiled.desired.digest, "basis": self.basis.value}
        if judged.findings:
            status["findings"] = [
                finding if rule is None else {**finding, "rule": f"rules[{indexes[rule]}]"}
                for finding, rule in zip(judged.findings, judged.rules, strict=True)
            ]
        return status


@dataclass(frozen=True, slots=True)
class _Judged:
    """Coverage as status shows it, but for what differs between objects that are treated alike.

    Shared between objects, and never changed. `rules` has, for each finding, the rule that decided.
    """

    status: dict[str, Any]
    findings: tuple[dict[str, Any], ...]
    rules: tuple[int | None, ...]


@lru_cache(maxsize=16)
def _judge_cluster(policy: Policy, catalogue: Catalogue) -> _Judged:
    # Namespaces are judged one by one, at the policies that are about them.
    coverage = assess(policy, catalogue, follow_namespaces=False)
    return _status(coverage, suggest(policy, catalogue, follow_namespaces=False))


@lru_cache(maxsize=4096)  # one per distinct treatment of a namespace; most reconciles change a few of them
def _judge_restriction(policy: Policy, catalogue: Catalogue, namespace: str) -> _Judged:
    # Where its rules stand in the whole policy changes with other namespaces, so that it is left to the caller.
    restriction = Restriction(policy, tuple(range(len(policy.rules))))
    coverage = assess_restriction(restriction, catalogue, namespace)
    return _status(coverage, suggest(policy, catalogue, namespace=namespace or SAMPLE_NAMESPACE))


def _status(coverage: Coverage, suggestions: Mapping[str, Suggestion]) -> _Judged:
    wrong = [each for each in coverage.actions if each.verdict in _WORST_FIRST]
    wrong.sort(key=lambda each: (_WORST_FIRST.index(each.verdict), -each.action.severity.rank, each.action.id))
    shown = wrong[:MAX_FINDINGS]
    status = to_json(
        CoverageStatus(
            score=coverage.score,
            covered=coverage.count(Verdict.COVERED),
            partial=coverage.count(Verdict.PARTIAL),
            gaps=coverage.count(Verdict.GAP),
            leaks=coverage.count(Verdict.LEAK),
            total=len(coverage.actions),
            basis=CoverageBasis.DESIRED,
            not_auditable=tuple(NotAuditable(id=each.id, title=each.title) for each in coverage.blind_spots),
        )
    )
    findings = tuple(to_json(_finding(each, suggestions.get(each.action.id))) for each in shown)
    return _Judged(status, findings, tuple(each.rule for each in shown))


def _finding(action: ActionCoverage, suggestion: Suggestion | None) -> ActionFinding:
    return ActionFinding(
        action=action.action.id,
        verdict=action.verdict,
        level=action.level,
        wanted=action.wanted,
        reason=action.reason[:1024],
        # Half a rule would be worse than none.
        suggestion=suggestion.line if suggestion and len(suggestion.line) <= _LONGEST else "",
    )
