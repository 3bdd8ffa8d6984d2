"""The evaluator for millions of requests: the same answers as `evaluate`, many times faster.

Replay and coverage ask one policy about the same few thousand combinations of verb, resource and namespace over and
over. For each combination the rules that can match are picked once; what is left to ask per request is the user, and
the name where a rule lists names. A property test holds it against `evaluate`, which stays the definition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from audit_operator.api.audit import Level
from audit_operator.policy.evaluate import entry_covers, url_matches
from audit_operator.policy.model import Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from audit_operator.policy.model import Policy, Request, Rule

_MOST_REMEMBERED = 1 << 16  # combinations; paths and names of resources come from clients, so they must not pile up


class _Candidate(NamedTuple):
    """What remains to be asked of a rule once the rest is known to match; None asks nothing."""

    users: frozenset[str] | None
    groups: frozenset[str] | None
    names: frozenset[str] | None
    decision: Decision

    @property
    def is_certain(self) -> bool:
        return self.users is None and self.groups is None and self.names is None


def compile_evaluator(policy: Policy) -> Callable[[Request], Decision]:
    """A function that decides as `evaluate(policy, request)` does. It remembers, so make one per policy and keep it."""
    nothing = Decision(Level.NONE, policy.omit_stages, policy.omit_managed_fields, None)
    decisions = [_decision(policy, rule, index) for index, rule in enumerate(policy.rules)]
    remembered: dict[tuple[str, ...], tuple[_Candidate, ...]] = {}

    def decide(request: Request) -> Decision:
        key: tuple[str, ...]
        if request.resource_request:
            key = (request.verb, request.api_group, request.resource, request.subresource, request.namespace)
        else:
            key = (request.verb, request.path)
        candidates = remembered.get(key)
        if candidates is None:
            if len(remembered) >= _MOST_REMEMBERED:
                remembered.clear()
            candidates = remembered[key] = tuple(_candidates(policy, decisions, request))
        user = request.user
        for users, groups, names, decision in candidates:
            if (
                (users is None or (user is not None and user.name in users))
                and (groups is None or (user is not None and not groups.isdisjoint(user.groups)))
                and (names is None or request.name in names)
            ):
                return decision
        return nothing

    return decide


def _decision(policy: Policy, rule: Rule, index: int) -> Decision:
    omit = policy.omit_managed_fields if rule.omit_managed_fields is None else rule.omit_managed_fields
    return Decision(rule.level, policy.omit_stages | rule.omit_stages, omit, index)


def _candidates(policy: Policy, decisions: list[Decision], request: Request) -> Iterator[_Candidate]:
    """The rules that requests like this one can match, up to the first that they match for certain."""
    for rule, decision in zip(policy.rules, decisions, strict=True):
        if rule.verbs and request.verb not in rule.verbs:
            continue
        names = _names(rule, request)
        if names == frozenset():
            continue
        candidate = _Candidate(_set(rule.users), _set(rule.user_groups), names, decision)
        yield candidate
        if candidate.is_certain:
            return


def _names(rule: Rule, request: Request) -> frozenset[str] | None:
    """The names for which the rule's target fits, whatever the user; None for any name, empty for none."""
    nothing: frozenset[str] = frozenset()
    if rule.namespaces or rule.resources:
        if not request.resource_request or (rule.namespaces and request.namespace not in rule.namespaces):
            return nothing
        covering = [entry for entry in rule.resources if entry_covers(entry, request)]
        if not rule.resources or any(not entry.resources or not entry.resource_names for entry in covering):
            return None
        return nothing.union(*(entry.resource_names for entry in covering))
    if rule.non_resource_urls:
        fits = not request.resource_request and any(url_matches(url, request.path) for url in rule.non_resource_urls)
        return None if fits else nothing
    return None


def _set(values: tuple[str, ...]) -> frozenset[str] | None:
    return frozenset(values) or None
