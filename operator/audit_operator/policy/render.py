"""A policy as the bytes that an API server loads: canonical, so that a digest names them, and pleasant to read.

Written by hand rather than by a YAML library because the same policy must give the same bytes in every version of every
dependency, since a digest names them, and because long namespace lists are written once and referred to (`&ns1`,
`*ns1`): a block of rules for thousands of namespaces would otherwise repeat the list in each rule.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.policy.model import GroupResources, Policy, Rule

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./@-]*(:[A-Za-z0-9_./@-]+)*")
# YAML 1.1 reads these as booleans or null, whatever their case.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})

ANCHOR_FROM = 8
"""A namespace list with at least this many names is written once and referred to."""

_MOST_ALIASED = 300_000
"""The API server's YAML parser refuses documents that aliases blow up (go-yaml, `allowedAliasRatio`): up to 400,000
nodes nearly all may come from aliases. Beyond this many names lists are written out instead."""


def render(policy: Policy) -> str:
    """The policy as an `audit.k8s.io/v1` document."""
    return "".join(f"{line}\n" for line in _lines(policy))


def _lines(policy: Policy) -> Iterator[str]:
    yield "apiVersion: audit.k8s.io/v1"
    yield "kind: Policy"
    if policy.omit_stages:
        yield f"omitStages: {_flow(sorted(policy.omit_stages))}"
    if policy.omit_managed_fields:
        yield "omitManagedFields: true"
    yield "rules:"
    lists = _NamespaceLists(policy.rules)
    for rule in policy.rules:
        yield f"- level: {rule.level}"
        yield from (f"  {line}" for line in _rule_lines(rule, lists))


def _rule_lines(rule: Rule, lists: _NamespaceLists) -> Iterator[str]:
    if rule.users:
        yield f"users: {_flow(rule.users)}"
    if rule.user_groups:
        yield f"userGroups: {_flow(rule.user_groups)}"
    if rule.verbs:
        yield f"verbs: {_flow(rule.verbs)}"
    if rule.resources:
        yield "resources:"
        for entry in rule.resources:
            first, *others = _entry_lines(entry)
            yield f"- {first}"
            yield from (f"  {line}" for line in others)
    if rule.namespaces:
        yield f"namespaces: {lists.write(rule.namespaces)}"
    if rule.non_resource_urls:
        yield f"nonResourceURLs: {_flow(rule.non_resource_urls)}"
    if rule.omit_stages:
        yield f"omitStages: {_flow(sorted(rule.omit_stages))}"
    if rule.omit_managed_fields is not None:
        yield f"omitManagedFields: {str(rule.omit_managed_fields).lower()}"


def _entry_lines(entry: GroupResources) -> Iterator[str]:
    yield f"group: {_scalar(entry.group)}"
    if entry.resources:
        yield f"resources: {_flow(entry.resources)}"
    if entry.resource_names:
        yield f"resourceNames: {_flow(entry.resource_names)}"


class _NamespaceLists:
    """Writes each long list out where it occurs first, and an alias for it afterwards."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        uses: dict[tuple[str, ...], int] = {}
        for rule in rules:
            if len(rule.namespaces) >= ANCHOR_FROM:
                uses[rule.namespaces] = uses.get(rule.namespaces, 0) + 1
        repeated = {names: count for names, count in uses.items() if count > 1}
        aliased = sum(len(names) * (count - 1) for names, count in repeated.items())
        self._anchors = (
            {names: f"ns{number}" for number, names in enumerate(repeated, 1)} if aliased < _MOST_ALIASED else {}
        )
        self._written: set[tuple[str, ...]] = set()

    def write(self, names: tuple[str, ...]) -> str:
        anchor = self._anchors.get(names)
        if anchor is None:
            return _flow(names)
        if names in self._written:
            return f"*{anchor}"
        self._written.add(names)
        return f"&{anchor} {_flow(names)}"


def _flow(values: Iterable[str]) -> str:
    return f"[{', '.join(map(_scalar, values))}]"


def _scalar(value: str) -> str:
    """A string that every YAML parser reads back as that string."""
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    # JSON strings are YAML double-quoted ones, but for characters beyond the first plane, which JSON escapes in halves.
    text = json.dumps(value, ensure_ascii=False)
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - the end of the first plane
