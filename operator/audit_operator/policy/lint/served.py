"""Can a rule match any request that an API server serves?

The evaluator compares strings and knows nothing of what exists. Here is what does exist: resources and their verbs from
`known_resources`, in the namespaces that they can have; the rest of the URL space; users and groups without wildcards.
Requests for what does not exist (404, 405), or with invented HTTP methods, reach the evaluator too and may match a rule
that is called dead here: recording those alone is nobody's intention.

Where knowledge ends, the answer is yes: a custom resource, or one of a newer release, may have any well-formed name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from audit_operator.policy.evaluate import resource_matches
from audit_operator.policy.known_resources import OBJECT_VERBS
from audit_operator.policy.lint.resource_names import mistake_in
from audit_operator.policy.model import GroupResources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.policy.known_resources import KnownResource, KnownResources
    from audit_operator.policy.model import Rule

HTTP_METHODS = frozenset({"get", "head", "post", "put", "patch", "delete", "options", "connect", "trace"})
"""Verbs of non-resource requests: the method in lower case (`pkg/endpoints/request/requestinfo.go`)."""

UNNAMED_VERBS = frozenset({"create", "deletecollection"})
"""Verbs of requests that never carry an object's name; list and watch carry one only through a field selector."""

_NON_RESOURCE_DEPTH = {"api": 2, "apis": 3}
"""Up to how many segments a path with this first one is that of a non-resource request."""

EVERY_RESOURCE = GroupResources(group="*")


def can_match(rule: Rule, known: KnownResources) -> bool:
    """Whether some request that an API server serves matches the rule, other rules aside."""
    if rule.users and all("*" in user for user in rule.users):
        return False
    if rule.user_groups and all("*" in group for group in rule.user_groups):
        return False
    if is_about_resources(rule):
        return any(_entry_can_match(entry, rule, known) for entry in rule.resources or (EVERY_RESOURCE,))
    if rule.non_resource_urls and not any(url_can_match(url) for url in rule.non_resource_urls):
        return False
    return not rule.verbs or not possible_verbs(rule).isdisjoint(rule.verbs)


def is_about_resources(rule: Rule) -> bool:
    """Whether the rule matches resource requests only."""
    return bool(rule.namespaces or rule.resources)


def possible_verbs(rule: Rule) -> frozenset[str]:
    """The verbs that requests of the sort that the rule is about can have."""
    if is_about_resources(rule):
        return OBJECT_VERBS
    return HTTP_METHODS if rule.non_resource_urls else OBJECT_VERBS | HTTP_METHODS


def url_can_match(pattern: str) -> bool:
    """Whether a nonResourceURLs entry takes in the path of any non-resource request.

    Paths below ``/api/<version>`` and ``/apis/<group>/<version>`` are resource requests, which no such entry matches
    (a bare slash after the version aside, which nobody asks for); the query is no part of the path.
    """
    if "?" in pattern:
        return False
    parts = pattern.rstrip("*").lstrip("/").split("/")
    if not pattern.endswith("*") and parts[-1] == "":
        parts.pop()
    return len(parts) <= _NON_RESOURCE_DEPTH.get(parts[0], len(parts)) if parts else True


def is_namespace(name: str) -> bool:
    """Whether a namespace can have this name (a DNS label, RFC 1123)."""
    return re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name) is not None


def _entry_can_match(entry: GroupResources, rule: Rule, known: KnownResources) -> bool:
    return any(spelling_can_match(entry, spelling, rule, known) for spelling in entry.resources or ("*",))


def spelling_can_match(entry: GroupResources, spelling: str, rule: Rule, known: KnownResources) -> bool:
    """Whether one string of a `resources` entry takes in anything, given the rule's verbs, namespaces and names."""
    mistake = mistake_in(entry.group, spelling, known)
    if mistake is not None and mistake.certain:
        return False
    # Names play no part in an entry without resources.
    names = entry.resource_names if entry.resources else ()
    candidates = list(targets(entry.group, spelling, known))
    if not candidates:  # beyond what is known
        verbs = _verbs_left(OBJECT_VERBS, "", rule.verbs, names)
        return bool(verbs) and (not rule.namespaces or any(n == "" or is_namespace(n) for n in rule.namespaces))
    return any(
        _namespace_fits(resource, verb, rule.namespaces, names)
        for resource, subresource in candidates
        for verb in _verbs_left(_served_verbs(resource, subresource), subresource, rule.verbs, names)
    )


def targets(group: str, spelling: str, known: KnownResources) -> Iterator[tuple[KnownResource, str]]:
    """Resources and subresources (``""`` for none) that a spelling takes in; nothing where that is not known.

    Of ``group: "*"`` nothing is known, since custom resources may bear any name.
    """
    for resource in known.in_group(group):
        for subresource in ("", *resource.subresources):
            if resource_matches(spelling, resource.name, subresource):
                yield resource, subresource


def _served_verbs(resource: KnownResource, subresource: str) -> frozenset[str]:
    return resource.subresources[subresource] if subresource else resource.verbs


def _verbs_left(
    served: frozenset[str], subresource: str, wanted: tuple[str, ...], names: tuple[str, ...]
) -> frozenset[str]:
    verbs = served.intersection(wanted) if wanted else served
    if not names:
        return verbs
    named, unnamed = any(names), "" in names
    if subresource:  # a request for a subresource always names its parent
        return verbs if named else frozenset()
    return frozenset(
        verb
        for verb in verbs
        if (unnamed if verb in UNNAMED_VERBS else named or (unnamed and verb in ("list", "watch")))
    )


def _namespace_fits(resource: KnownResource, verb: str, namespaces: tuple[str, ...], names: tuple[str, ...]) -> bool:
    """Whether a request with this verb can be in one of the namespaces (``""``: in none); all of them if empty.

    Requests for one Namespace object count as being in that namespace, unlike creating and listing them.
    """
    if not namespaces:
        return True
    possible = [name for name in namespaces if is_namespace(name)]
    if resource.namespaced:
        return bool(possible) or ("" in namespaces and verb in ("list", "watch"))
    if (resource.group, resource.name) == ("", "namespaces") and verb not in UNNAMED_VERBS and verb != "list":
        return any(not names or name in names for name in possible) or ("" in namespaces and verb == "watch")
    return "" in namespaces
