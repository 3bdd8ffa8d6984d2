"""Rules of our kinds as rules of the audit policy language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.policy.model import GroupResources, Rule

if TYPE_CHECKING:
    from audit_operator.api.rules import LimitRule, NamespacedPolicyRule, PolicyRule


def rule_of(rule: NamespacedPolicyRule | PolicyRule | LimitRule) -> Rule:
    """The same rule; fields that the kind lacks are not set."""
    return Rule(
        level=rule.level,
        users=rule.users,
        user_groups=rule.user_groups,
        verbs=rule.verbs,
        resources=tuple(GroupResources(each.group, each.resources, each.resource_names) for each in rule.resources),
        namespaces=getattr(rule, "namespaces", ()),
        non_resource_urls=getattr(rule, "non_resource_urls", ()),
        omit_stages=frozenset(getattr(rule, "omit_stages", ())),
        omit_managed_fields=getattr(rule, "omit_managed_fields", None),
    )
