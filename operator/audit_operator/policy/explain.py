"""Why a policy decides as it does: which rule matched, and which earlier ones nearly did.

Most surprises in an audit policy are a rule further up that should have matched and did not, because of one field: a
verb that modern clients do not use, a subresource without its own spelling, a resource under the wrong API group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.policy.evaluate import evaluate, resource_matches, url_matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.policy.model import Decision, GroupResources, Policy, Request, Rule


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A field of a rule that says no.

    Attributes:
        field: path within the rule, for example ``verbs`` or ``resources[1].group``.
        value: what the request has there; None if it has no such thing, for example no user.
        wanted: what the rule lists.
        close: whether the field itself was nearly right: an entry of `resources` that differs in one part only.
    """

    field: str
    value: str | tuple[str, ...] | None
    wanted: tuple[str, ...]
    close: bool = False


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule before the one that decided, its index, and the only field of it that did not match."""

    index: int
    rule: Rule
    mismatch: Mismatch


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a policy decides about a request, and what it nearly decided.

    Attributes:
        request: the request.
        decision: the result; its `rule` is the one that decided.
        rule: that rule itself; None if nothing matched.
        near_misses: earlier rules that failed on one field, in order.
    """

    request: Request
    decision: Decision
    rule: Rule | None
    near_misses: tuple[NearMiss, ...]


def explain(policy: Policy, request: Request) -> Explanation:
    """Evaluate a request and say why.

    A rule counts as nearly matching if all its fields but one matched and at least one did; or if its only field is
    `resources` and one entry differs in nothing but the group, the subresource or the name.
    """
    decision = evaluate(policy, request)
    before = policy.rules[: decision.rule]
    near = (_near_miss(index, rule, request) for index, rule in enumerate(before))
    rule = None if decision.rule is None else policy.rules[decision.rule]
    return Explanation(request, decision, rule, tuple(filter(None, near)))


def mismatches(rule: Rule, request: Request) -> tuple[Mismatch, ...]:
    """The fields of a rule that do not match; none if the rule matches."""
    return tuple(_mismatches(rule, request))


def spell_entry(entry: GroupResources) -> str:
    """An entry of `resources` in words: ``pods, pods/log in core``."""
    resources = ", ".join(entry.resources) or "*"
    return f"{resources} in {entry.group or 'core'}"


def _near_miss(index: int, rule: Rule, request: Request) -> NearMiss | None:
    match mismatches(rule, request):
        case (only,) if only.close or _fields_set(rule) > 1:
            return NearMiss(index, rule, only)
        case _:
            return None


def _fields_set(rule: Rule) -> int:
    return sum(
        map(bool, (rule.users, rule.user_groups, rule.verbs, rule.namespaces, rule.resources, rule.non_resource_urls))
    )


def _mismatches(rule: Rule, request: Request) -> Iterator[Mismatch]:
    user = request.user
    if rule.users and (user is None or user.name not in rule.users):
        yield Mismatch("users", user.name if user else None, rule.users)
    if rule.user_groups and (user is None or not set(user.groups) & set(rule.user_groups)):
        yield Mismatch("userGroups", user.groups if user else None, rule.user_groups)
    if rule.verbs and request.verb not in rule.verbs:
        yield Mismatch("verbs", request.verb, rule.verbs)
    if rule.namespaces or rule.resources:
        yield from _resource_mismatches(rule, request)
    elif rule.non_resource_urls:
        urls = rule.non_resource_urls
        if request.resource_request:
            yield Mismatch("nonResourceURLs", None, urls)
        elif not any(url_matches(url, request.path) for url in urls):
            yield Mismatch("nonResourceURLs", request.path, urls)


def _resource_mismatches(rule: Rule, request: Request) -> Iterator[Mismatch]:
    if not request.resource_request:
        # One reason, not two: the rule is about the other kind of request.
        wanted = tuple(spell_entry(entry) for entry in rule.resources) or rule.namespaces
        yield Mismatch("resources" if rule.resources else "namespaces", None, wanted)
        return
    if rule.namespaces and request.namespace not in rule.namespaces:
        yield Mismatch("namespaces", request.namespace, rule.namespaces)
    if not rule.resources:
        return
    failures = [tuple(_entry_mismatches(entry, index, request)) for index, entry in enumerate(rule.resources)]
    if all(failures):
        close = next((only for only, *others in failures if not others and only.close), None)
        yield close or Mismatch(
            "resources", _resource_of(request), tuple(spell_entry(entry) for entry in rule.resources)
        )


def _entry_mismatches(entry: GroupResources, index: int, request: Request) -> Iterator[Mismatch]:
    field = f"resources[{index}]"
    if entry.group not in (request.api_group, "*"):
        yield Mismatch(f"{field}.group", request.api_group, (entry.group,), close=bool(entry.resources))
    if not entry.resources:
        return
    if entry.resource_names and request.name not in entry.resource_names:
        yield Mismatch(f"{field}.resourceNames", request.name, entry.resource_names, close=True)
    if not any(resource_matches(spelling, request.resource, request.subresource) for spelling in entry.resources):
        same_resource = any(spelling.partition("/")[0] == request.resource for spelling in entry.resources)
        value = _join(request.resource, request.subresource)
        yield Mismatch(f"{field}.resources", value, entry.resources, close=same_resource)


def _resource_of(request: Request) -> str:
    resource = _join(request.resource, request.subresource)
    return f"{resource}.{request.api_group}" if request.api_group else resource


def _join(resource: str, subresource: str) -> str:
    return f"{resource}/{subresource}" if subresource else resource
