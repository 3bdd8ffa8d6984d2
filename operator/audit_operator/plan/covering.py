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
from audit_operator.api.references import INPUT_LABEL
from audit_operator.coverage.callers import SAMPLE_NAMESPACE
from audit_operator.coverage.catalogue import Catalogue
from audit_operator.coverage.loading import CATALOGUE_KEY, builtin_catalogue, load_catalogue
from audit_operator.coverage.merging import merge
from audit_operator.coverage.restriction import Restriction, Restrictions
from audit_operator.coverage.suggestions import Suggestion, suggest
from audit_operator.coverage.verdicts import ActionCoverage, Coverage, assess, assess_restriction
from audit_operator.policy.explanation_text import describe_rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.plan.snapshot import Snapshot
    from audit_operator.policy.model import Policy

_ANYWHERE = ""
_LONGEST = 1024
"""Most characters of one line in status."""
_LONGEST_WORD = 256
_WORST_FIRST = (Verdict.LEAK, Verdict.GAP, Verdict.PARTIAL)


def catalogue_for(plane: AuditControlPlane, snapshot: Snapshot) -> tuple[Catalogue, tuple[Finding, ...]]:
    """The critical actions that a control plane is judged on; a catalogue that cannot be read is left out, and said."""
    catalogue, findings = builtin_catalogue(), list[Finding]()
    for number, wanted in enumerate(plane.spec.coverage.catalogue_refs if plane.spec.coverage else ()):
        source = ObjectRef("ConfigMap", wanted.name, wanted.namespace)
        text = snapshot.input(wanted.namespace, wanted.name, CATALOGUE_KEY)
        if text is None:
            findings.append(
                Finding(
                    id="catalogue-not-found",
                    severity=Severity.ERROR,
                    message=f"there is no {source} with a key {CATALOGUE_KEY} and the label {INPUT_LABEL}",
                    mend="create it, with the label",
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
    """Judges the policies of one control plane on the policy that its API servers run, or are to run.

    Attributes:
        policy: that policy; `digest` is its name.
        ours: whether it is compiled from our objects, so that a rule more can close a gap.
    """

    policy: Policy
    digest: str
    catalogue: Catalogue
    ours: bool = True
    _restrictions: Restrictions = field(init=False)
    _judged: dict[tuple[int, str], tuple[Policy, dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._restrictions = Restrictions(self.policy)

    def judged(self, namespace: str) -> dict[str, Any]:
        """The verdicts in a namespace, or on the whole cluster for ``""``: the same object for the same verdicts."""
        if not namespace:
            return _judge_cluster(self.policy, self.catalogue, self.ours)
        special = namespace if namespace in self.catalogue.named_namespaces else _ANYWHERE
        policy = self._restrictions.to(namespace).policy
        # Most namespaces get the same object; looking it up by its content each time would cost more than the rest.
        key = (id(policy), special)
        if key not in self._judged:
            self._judged[key] = (policy, _judge_restriction(policy, self.catalogue, special, self.ours))
        return self._judged[key][1]

    def coverage(self, namespace: str) -> Coverage:
        """The same verdicts, each with the action that it is on: the same object for the same verdicts."""
        if not namespace:
            return _assess_cluster(self.policy, self.catalogue)
        special = namespace if namespace in self.catalogue.named_namespaces else _ANYWHERE
        return _assess_restriction(self._restrictions.to(namespace).policy, self.catalogue, special)

    def status(self, judged: dict[str, Any], namespace: str, basis: CoverageBasis) -> dict[str, Any]:
        """The coverage as it stands in status.

        What is said about a namespace does not change with what others ask for theirs: no digest and no index into the
        compiled policy stands in it. Else each change of one policy would change the status of all.
        """
        digest = {} if namespace else {"digest": self.digest}
        return {**judged, "basis": basis.value, **digest}


@lru_cache(maxsize=16)
def _assess_cluster(policy: Policy, catalogue: Catalogue) -> Coverage:
    # Namespaces are judged one by one, at the policies that are about them.
    return assess(policy, catalogue, follow_namespaces=False)


@lru_cache(maxsize=4096)  # as for _judge_restriction
def _assess_restriction(policy: Policy, catalogue: Catalogue, namespace: str) -> Coverage:
    return assess_restriction(Restriction(policy, tuple(range(len(policy.rules)))), catalogue, namespace)


@lru_cache(maxsize=16)
def _judge_cluster(policy: Policy, catalogue: Catalogue, ours: bool) -> dict[str, Any]:  # noqa: FBT001 - a cache's key
    coverage = _assess_cluster(policy, catalogue)
    return _status(coverage, policy, suggest(policy, catalogue, follow_namespaces=False) if ours else {})


@lru_cache(maxsize=4096)  # one per distinct treatment of a namespace; most reconciles change a few of them
def _judge_restriction(policy: Policy, catalogue: Catalogue, namespace: str, ours: bool) -> dict[str, Any]:  # noqa: FBT001 - a cache's key
    coverage = _assess_restriction(policy, catalogue, namespace)
    suggestions = suggest(policy, catalogue, namespace=namespace or SAMPLE_NAMESPACE) if ours else {}
    return _status(coverage, policy, suggestions)


def _status(coverage: Coverage, policy: Policy, suggestions: Mapping[str, Suggestion]) -> dict[str, Any]:
    """All of the status but what it was judged on; shared between objects, and never changed."""
    wrong = [each for each in coverage.actions if each.verdict in _WORST_FIRST]
    wrong.sort(key=lambda each: (_WORST_FIRST.index(each.verdict), -each.action.severity.rank, each.action.id))
    return to_json(
        CoverageStatus(
            score=coverage.score,
            covered=coverage.count(Verdict.COVERED),
            partial=coverage.count(Verdict.PARTIAL),
            gaps=coverage.count(Verdict.GAP),
            leaks=coverage.count(Verdict.LEAK),
            total=len(coverage.actions),
            basis=CoverageBasis.DESIRED,
            findings=tuple(_finding(each, policy, suggestions.get(each.action.id)) for each in wrong[:MAX_FINDINGS]),
            not_auditable=tuple(NotAuditable(id=each.id, title=each.title) for each in coverage.blind_spots),
        )
    )


def _finding(action: ActionCoverage, policy: Policy, suggestion: Suggestion | None) -> ActionFinding:
    rule = None if action.rule is None else policy.rules[action.rule]
    return ActionFinding(
        action=action.action.id,
        verdict=action.verdict,
        level=action.level,
        wanted=action.wanted,
        reason=action.reason[:_LONGEST],
        rule=f"{rule.level}: {describe_rule(rule)}"[:_LONGEST_WORD] if rule else "",
        # Half a rule would be worse than none.
        suggestion=suggestion.line if suggestion and len(suggestion.line) <= _LONGEST else "",
    )
