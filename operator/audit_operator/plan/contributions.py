"""From objects to what the compiler understands: presets resolved, rules converted, reach computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
from audit_operator.api.rules import LimitRule, NamespacedPolicyRule
from audit_operator.plan.selection import reach_of
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.model import GroupResources, Policy, Rule
from audit_operator.policy.presets import load_preset

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.rules import PolicyRule
    from audit_operator.plan.snapshot import NamespaceFact


def contribution_of(policy: AuditPolicy | ClusterAuditPolicy, known: Iterable[NamespaceFact]) -> Contribution:
    """What a policy of either kind asks for, given the namespaces that are known."""
    if isinstance(policy, ClusterAuditPolicy):
        return cluster_contribution(policy, known)
    return namespaced_contribution(policy)


def namespaced_contribution(policy: AuditPolicy) -> Contribution:
    """What an AuditPolicy asks for, in its own namespace."""
    spec = policy.spec
    # A preset's rules about other namespaces or about URLs say nothing about requests in this one.
    preset = [rule for rule in _preset(spec.preset) if not rule.namespaces and not rule.non_resource_urls]
    rules = (*map(rule_of, spec.rules), *preset)
    return Contribution(
        Reach(frozenset({policy.metadata.namespace})),
        Policy(rules, frozenset(spec.omit_stages), spec.omit_managed_fields),
    )


def cluster_contribution(policy: ClusterAuditPolicy, known: Iterable[NamespaceFact]) -> Contribution:
    """What a ClusterAuditPolicy asks for, and what it forbids."""
    spec = policy.spec
    rules = (*map(rule_of, spec.rules), *_preset(spec.preset))
    return Contribution(
        reach_of(spec, known),
        Policy(rules, frozenset(spec.omit_stages), spec.omit_managed_fields) if rules else None,
        tuple(map(rule_of, spec.limits)),
    )


def _preset(name: str | None) -> tuple[Rule, ...]:
    return load_preset(name) if name else ()


def rule_of(rule: NamespacedPolicyRule | PolicyRule | LimitRule) -> Rule:
    """A rule of ours as one of the audit policy language; fields that the kind lacks are not set."""
    return Rule(
        level=rule.level,
        users=tuple(rule.users),
        user_groups=tuple(rule.user_groups),
        verbs=tuple(rule.verbs),
        resources=tuple(
            GroupResources(each.group, tuple(each.resources), tuple(each.resource_names)) for each in rule.resources
        ),
        namespaces=() if isinstance(rule, NamespacedPolicyRule) else rule.namespaces,
        non_resource_urls=() if isinstance(rule, NamespacedPolicyRule) else rule.non_resource_urls,
        omit_stages=frozenset() if isinstance(rule, LimitRule) else frozenset(rule.omit_stages),
        omit_managed_fields=None if isinstance(rule, LimitRule) else rule.omit_managed_fields,
    )
