"""What policies name: all that they can tell requests apart by.

Two requests that differ in nothing that some policy names are the same to all of them. So what comes from clients, and
may be anything, can be cut down to what matters, and counts of a log stay small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.policy.evaluate import url_matches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.policy.model import Policy

OTHER = "(other)"
"""Stands for everything that no policy names. No name in Kubernetes has brackets."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What some policies name, by field of a rule; a resource with a subresource is two names."""

    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    verbs: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    api_groups: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    subresources: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    urls: tuple[str, ...] = ()

    def path(self, path: str) -> str:
        """A path that the same of the policies' nonResourceURLs take in, out of few.

        A pattern ends in ``*`` or is a path itself. Those that take in a path are prefixes of it, so that they and it
        are told by the longest of them, and by whether it is itself spelled out.
        """
        if path in self.urls:
            return path
        longest = max((each.rstrip("*") for each in self.urls if url_matches(each, path)), key=len, default="")
        return f"{longest}{OTHER}"


def vocabulary_of(policies: Iterable[Policy]) -> Vocabulary:
    """All that these policies name."""
    rules = [rule for policy in policies for rule in policy.rules]
    entries = [entry for rule in rules for entry in rule.resources]
    spelled = [each.partition("/") for entry in entries for each in entry.resources]
    return Vocabulary(
        users=frozenset(each for rule in rules for each in rule.users),
        groups=frozenset(each for rule in rules for each in rule.user_groups),
        verbs=frozenset(each for rule in rules for each in rule.verbs),
        namespaces=frozenset(each for rule in rules for each in rule.namespaces),
        api_groups=frozenset(entry.group for entry in entries),
        resources=frozenset(resource for resource, _, _ in spelled),
        subresources=frozenset(subresource for _, _, subresource in spelled),
        names=frozenset(each for entry in entries for each in entry.resource_names),
        urls=tuple(sorted({each for rule in rules for each in rule.non_resource_urls})),
    )
