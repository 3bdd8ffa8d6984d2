"""The audit policy of one control plane: all contributions composed, rendered, and what could not be said exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, Severity
from audit_operator.api.observations import DesiredPolicy
from audit_operator.policy.compose import Budget, Excess, ExcessReason, compose
from audit_operator.policy.decision_list import Dialect
from audit_operator.policy.gates import GROUP_WILDCARD
from audit_operator.policy.known_resources import known_resources
from audit_operator.policy.render import render

if TYPE_CHECKING:
    from audit_operator.api.control_plane import Precision
    from audit_operator.policy.contribution import Contribution
    from audit_operator.policy.gates import Version
    from audit_operator.policy.model import Policy
    from audit_operator.policy.predicate import Predicate


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """One policy, as rules and as the bytes that an API server loads, with the excess that it carries.

    `distinct_demands` counts the different sets of lists that reach namespaces; `version` is the oldest minor that
    reads it as it is meant.
    """

    policy: Policy
    desired: DesiredPolicy
    excess: tuple[Excess, ...]
    distinct_demands: int
    version: Version

    def findings(self, namespace: str | None = None) -> tuple[Finding, ...]:
        """The excess; with a namespace, as far as it concerns that one."""
        concerned = [each for each in self.excess if namespace is None or namespace in each.namespaces]
        return tuple(dict.fromkeys(_finding_of(each, self.version) for each in concerned))


def _dialect_of(version: Version) -> Dialect:
    """What an API server of this minor version can read."""
    return Dialect(group_wildcard=version >= GROUP_WILDCARD.since, known_groups=known_resources().groups)


@lru_cache(maxsize=8)  # equal facts need no second compilation: most reconciles change no policy
def compile_policy(
    contributions: frozenset[Contribution],
    namespaces: frozenset[str],
    precision: Precision,
    version: Version,
    budget: Budget = Budget(),  # noqa: B008 - frozen
) -> CompiledPolicy:
    """Compose and render, for API servers of this minor and newer ones."""
    made = compose(
        contributions, namespaces=namespaces, precision=precision, dialect=_dialect_of(version), budget=budget
    )
    return CompiledPolicy(made.policy, DesiredPolicy(render(made.policy)), made.excess, made.distinct_demands, version)


def _finding_of(excess: Excess, version: Version) -> Finding:
    """What a user should know about an excess."""
    where = _where(excess.namespaces)
    match excess.reason:
        case ExcessReason.TOO_LARGE:
            return Finding(
                id="composition-too-large",
                severity=Severity.WARNING,
                message=f"the policies {where} have too many combinations; everything there is recorded at the "
                "highest level that any of them asks for",
                mend="use fewer rules, or fewer policies with the same rules",
            )
        case ExcessReason.UNSEEN_NAMESPACES:
            return Finding(
                id="unseen-namespaces-recorded-higher",
                severity=Severity.INFO,
                message="requests in namespaces that do not exist are recorded like those of the largest group of "
                "namespaces, which spares the API server a long list",
            )
        case ExcessReason.INEXPRESSIBLE:
            return Finding(
                id="recorded-above-asked",
                severity=Severity.WARNING,
                message=f"{where}: no single rule can match {_what(excess)} exactly, so that some are recorded "
                f"{_levels(excess)}",
                mend="use users in place of userGroups, or the same userGroups list, in the policies concerned",
            )
        case ExcessReason.GROUP_WILDCARD:
            return Finding(
                id="recorded-above-asked-until-upgrade",
                severity=Severity.WARNING,
                message=f"{where}: Kubernetes {version}, the oldest here, knows no {GROUP_WILDCARD.what}, so that "
                f"{_what(excess)} in API groups that are not built in are recorded {_levels(excess)}",
                mend=f"name the groups in place of `*`, or upgrade: {GROUP_WILDCARD.since} knows it",
            )


def _what(excess: Excess) -> str:
    described = describe(excess.surplus.predicate) if excess.surplus else ""
    return f"requests {described}" if described else "requests"


def _levels(excess: Excess) -> str:
    surplus = excess.surplus
    if surplus is None:
        return "higher"
    asked = surplus.asked.level if surplus.asked.level < surplus.recorded.level else "less"
    return f"at {surplus.recorded.level} where {asked} was asked"


def _where(namespaces: tuple[str, ...]) -> str:
    named = [namespace or "(cluster scope)" for namespace in namespaces]
    match named:
        case []:
            return "outside the known namespaces"
        case [one]:
            return f"in namespace {one}"
        case _:
            shown = ", ".join(named[:5])
            return f"in namespaces {shown}" + (f" and {len(named) - 5} more" if len(named) > 5 else "")  # noqa: PLR2004


def describe(predicate: Predicate) -> str:
    """A set of requests in words."""
    parts = []
    if predicate.users:
        parts.append(f"by {', '.join(sorted(predicate.users))}")
    parts.extend(f"by a member of {' or '.join(sorted(clause))}" for clause in sorted(predicate.groups, key=sorted))
    if predicate.verbs:
        parts.append(f"to {'/'.join(sorted(predicate.verbs))}")
    return " and ".join(parts)
