"""The API server's evaluator: which level, stages and managed fields does a policy ask for?

One semantics serves the compiler, coverage, the CLI and the tests. It follows `policyRuleEvaluator` in upstream's
`pkg/audit/policy/checker.go` line by line, oddities included, and is checked against labels made by that code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.policy.model import Decision

if TYPE_CHECKING:
    from audit_operator.policy.model import GroupResources, Policy, Request, Rule


def evaluate(policy: Policy, request: Request) -> Decision:
    """Return the decision of the first rule that matches, or level None with the policy's own settings."""
    for index, rule in enumerate(policy.rules):
        if rule_matches(rule, request):
            omit = policy.omit_managed_fields if rule.omit_managed_fields is None else rule.omit_managed_fields
            return Decision(rule.level, policy.omit_stages | rule.omit_stages, omit, index)
    return Decision(Level.NONE, policy.omit_stages, policy.omit_managed_fields, None)


def rule_matches(rule: Rule, request: Request) -> bool:
    """Whether every field that the rule sets matches the request."""
    user = request.user
    if rule.users and (user is None or user.name not in rule.users):
        return False
    if rule.user_groups and (user is None or not any(group in rule.user_groups for group in user.groups)):
        return False
    if rule.verbs and request.verb not in rule.verbs:
        return False
    # Namespaces or resources make it a resource rule, whatever else it says; validation refuses the mixture.
    if rule.namespaces or rule.resources:
        return _resource_matches(rule, request)
    if rule.non_resource_urls:
        return not request.resource_request and any(url_matches(url, request.path) for url in rule.non_resource_urls)
    return True


def _resource_matches(rule: Rule, request: Request) -> bool:
    if not request.resource_request:
        return False
    if rule.namespaces and request.namespace not in rule.namespaces:
        return False
    return not rule.resources or any(entry_matches(entry, request) for entry in rule.resources)


def entry_matches(entry: GroupResources, request: Request) -> bool:
    """Whether one `resources` entry takes in the request's group, resource, subresource and name."""
    if entry.resources and entry.resource_names and request.name not in entry.resource_names:
        return False
    return entry_covers(entry, request)


def entry_covers(entry: GroupResources, request: Request) -> bool:
    """Whether one `resources` entry takes in the request's group and resource, whatever names it lists."""
    if entry.group not in (request.api_group, "*"):
        return False
    if not entry.resources:  # the whole group; resourceNames play no part
        return True
    return any(resource_matches(spelling, request.resource, request.subresource) for spelling in entry.resources)


def resource_matches(spelling: str, resource: str, subresource: str) -> bool:
    """Whether one string of `resources` takes in a resource and subresource.

    ``pods`` does not take in ``pods/log``, but ``pods/*`` takes in ``pods`` itself: upstream's code decides so,
    although its API comment suggests otherwise.
    """
    combined = f"{resource}/{subresource}" if subresource else resource
    if spelling in ("*", combined):
        return True
    if subresource and spelling.startswith("*/") and spelling[2:] == subresource:
        return True
    return spelling.endswith("/*") and spelling[:-2] == resource


def url_matches(pattern: str, path: str) -> bool:
    """Whether a nonResourceURLs entry takes in a path: ``*``, the exact path, or a plain string prefix before ``*``."""
    if pattern in ("*", path):
        return True
    return pattern.endswith("*") and path.startswith(pattern.rstrip("*"))
