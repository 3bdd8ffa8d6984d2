"""An explanation in words, for people at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.policy.explain import spell_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.policy.explain import Explanation, Mismatch
    from audit_operator.policy.model import Request, Rule

_MOST_LISTED = 6


def describe(explanation: Explanation) -> str:
    """What was decided, by which rule, and which rules before it nearly matched; several lines."""
    return "\n".join(_lines(explanation))


def _lines(explanation: Explanation) -> Iterator[str]:
    decision = explanation.decision
    yield describe_request(explanation.request)
    stages = f", without stage {', '.join(sorted(decision.omit_stages))}" if decision.omit_stages else ""
    fields = ", without managedFields" if decision.omit_managed_fields else ""
    yield f"  level {decision.level}{stages}{fields}"
    if explanation.rule is None:
        yield "  no rule matches"
    else:
        yield f"  decided by rules[{decision.rule}]: {describe_rule(explanation.rule)}"
    for near in explanation.near_misses:
        yield f"  rules[{near.index}] (level {near.rule.level}) nearly matched: {_describe(near.mismatch)}"


def describe_request(request: Request) -> str:
    """One request in a line, for example ``get pods/exec web in namespace shop by alice``."""
    who = f"by {request.user.name or 'a user without a name'}" if request.user else "by nobody (failed authentication)"
    if not request.resource_request:
        return f"{request.verb} {request.path} {who}"
    resource = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    group = f".{request.api_group}" if request.api_group else ""
    name = f" {request.name}" if request.name else ""
    where = f" in namespace {request.namespace}" if request.namespace else ""
    return f"{request.verb} {resource}{group}{name}{where} {who}"


def describe_rule(rule: Rule) -> str:
    """The fields that a rule sets, or ``everything``."""
    fields = {
        "users": rule.users,
        "userGroups": rule.user_groups,
        "verbs": rule.verbs,
        "resources": tuple(spell_entry(entry) for entry in rule.resources),
        "namespaces": rule.namespaces,
        "nonResourceURLs": rule.non_resource_urls,
    }
    return "; ".join(f"{name} {_listed(values)}" for name, values in fields.items() if values) or "everything"


def _describe(mismatch: Mismatch) -> str:
    wanted = f"{mismatch.field} wants {_listed(mismatch.wanted)}"
    match mismatch.value:
        case None:
            return f"{wanted}, the request has none"
        case str(value):
            return f"{wanted}, the request has {_quoted(value)}"
        case values:
            return f"{wanted}, the request has {_listed(values)}"


def _listed(values: tuple[str, ...]) -> str:
    shown = [_quoted(value) for value in values[:_MOST_LISTED]]
    more = [f"{len(values) - _MOST_LISTED} more"] if len(values) > _MOST_LISTED else []
    return f"[{', '.join(shown + more)}]"


def _quoted(value: str) -> str:
    return value if value and value.isprintable() and value == value.strip() else repr(value)
