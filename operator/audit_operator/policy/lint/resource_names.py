"""What is wrong with the way a resource is named: wrong group, singular, subresource spelling, case, wildcards.

The API server checks none of it. A mistake is *certain* if no release and no custom resource could ever make the name
right; only then may a rule be called dead because of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit_operator.policy.known_resources import KnownResource, KnownResources

AUTHORIZATION_ONLY = frozenset(
    {
        ("", "users"),
        ("", "groups"),
        ("authentication.k8s.io", "uids"),
        ("authentication.k8s.io", "userextras"),
        ("certificates.k8s.io", "signers"),
    }
)
"""Names that stand in RBAC rules (for impersonate, approve, sign) and never in a request's URL."""

SUBRESOURCE_OF_KIND = {"tokenrequests": ("", "serviceaccounts/token"), "evictions": ("", "pods/eviction")}
"""Plurals of kinds that are no resources of their own, and the group and subresource to which they are posted."""

KUBELET_ONLY = frozenset({"checkpoint", "configz", "healthz", "log", "metrics", "pods", "spec", "stats"})
"""Subresources of nodes that the kubelet asks authorization for (KEP-2862) and the API server does not serve."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in one name. `id` is that of the check that reports it."""

    id: str
    message: str
    mend: str
    certain: bool = True


@lru_cache(maxsize=1 << 12)
def mistake_in(group: str, spelling: str, known: KnownResources) -> Mistake | None:
    """What is wrong with a string of `resources` under a group; None if nothing is known to be."""
    return (
        _mistake_in_form(spelling)
        or _mistake_in_group(group, known)
        or _mistake_in_separator(group, spelling, known)
        or _mistake_in_name(group, spelling, known)
    )


def _mistake_in_form(spelling: str) -> Mistake | None:
    if spelling == "*/*":
        return Mistake("resource-wildcard", '"*/*" matches nothing', 'write "*", which takes in subresources too')
    resource, slash, subresource = spelling.partition("/")
    for part in (resource, subresource):
        if "*" in part and part != "*":
            return Mistake(
                "resource-wildcard",
                f'"{spelling}" matches nothing: "*" cannot stand for a part of a name',
                'list the names, or write "*", "*/subresource" or "resource/*"',
            )
    if not resource or (slash and not subresource) or "/" in subresource or spelling != spelling.strip():
        trimmed = "/".join(part for part in spelling.strip().split("/")[:2] if part)
        return Mistake(
            "subresource-spelling",
            f'"{spelling}" matches nothing: it is neither "resource" nor "resource/subresource"',
            f'write "{trimmed}"' if trimmed else "remove it",
        )
    return None


def _mistake_in_group(group: str, known: KnownResources) -> Mistake | None:
    if group == "*" or group in known.groups or known.group_removed_in(group):
        return None
    if group in ("core", "v1"):
        return Mistake("unknown-group", f'the core group is called "", not "{group}"', 'write group: ""')
    if "." in group:  # may be a custom resource's
        return None
    near = [each for each in sorted(known.groups) if each.split(".")[0] == group] or get_close_matches(
        group, known.groups, 1
    )
    return Mistake(
        "unknown-group",
        f'there is no API group "{group}", and custom resources cannot have one without a dot',
        f'write group: "{near[0]}"' if near else "write the group as `kubectl api-resources` shows it",
    )


def _mistake_in_separator(group: str, spelling: str, known: KnownResources) -> Mistake | None:
    """`pods.exec`, `pods:exec`, `deployments.apps`, and subresources without their resource."""
    for separator in (".", ":", "_"):
        head, found, tail = spelling.partition(separator)
        if not found or "/" in spelling:
            continue
        for resource in _candidates(group, known):
            if head in _names_of(resource) and tail in resource.subresources:
                return Mistake(
                    "subresource-spelling",
                    f'"{spelling}" matches nothing: a subresource stands after a slash',
                    f'write "{resource.name}/{tail}"',
                )
        if separator == "." and known.find(tail, head):
            return Mistake(
                "wrong-group",
                f'"{spelling}" matches nothing: the group has a field of its own',
                f'write group: "{tail}" and resources: ["{head}"]',
            )
    owners = [each.name for each in _candidates(group, known) if spelling in each.subresources]
    if owners and not any(spelling == each.name for each in known.served):
        return Mistake(
            "subresource-spelling",
            f'"{spelling}" matches nothing: it is a subresource and needs its resource before it',
            f'write "{owners[0]}/{spelling}"' if len(owners) == 1 else f'write "*/{spelling}"',
            certain=group in known.groups,
        )
    return None


def _mistake_in_name(group: str, spelling: str, known: KnownResources) -> Mistake | None:
    name, slash, subresource = spelling.partition("/")
    if name == "*":
        return _mistake_in_any_subresource(group, subresource, known)
    if (group, name) in AUTHORIZATION_ONLY or ((group, name) == ("", "nodes") and subresource in KUBELET_ONLY):
        return Mistake(
            "authorization-only",
            f'"{spelling}" exists in authorization only; no request to the API server is about it',
            "remove it" if name != "nodes" else 'write "nodes/proxy" for what goes to kubelets through the API server',
        )
    exact = next((each for each in _candidates(group, known) if each.name == name), None)
    if exact:
        return _mistake_in_subresource(exact, subresource)
    return None if known.find_removed(group, name) else _unlisted(group, name, slash + subresource, known)


def _unlisted(group: str, name: str, rest: str, known: KnownResources) -> Mistake | None:
    """What may be wrong with a name that the group does not have."""
    here = next((each for each in _candidates(group, known) if name.lower() in _names_of(each)), None)
    if here:
        return _misnamed(here, name, rest, certain=group in known.groups)
    if name != name.lower():
        return Mistake(
            "wrong-case-resource",
            f'"{name}{rest}" matches nothing: names of resources are in lower case',
            f'write "{(name + rest).lower()}", and check that it is the plural',
        )
    return _elsewhere(group, name, rest, known) if group in known.groups else None


def _elsewhere(group: str, name: str, rest: str, known: KnownResources) -> Mistake:
    others = [each for each in known.served if name in _names_of(each)]
    shown = f'"{group}"' if group else "the core group"
    if others:
        groups = " or ".join(f'"{each.group}"' for each in others)
        return Mistake(
            "wrong-group",
            f'there is no "{name}" in {shown}',
            f'write group: {groups} with resources: ["{others[0].name}{rest}"]',
        )
    if name in SUBRESOURCE_OF_KIND:
        owner, spelling = SUBRESOURCE_OF_KIND[name]
        message = f'there is no resource "{name}": it is the subresource {spelling}'
        mend = f'write group: "{owner}" with resources: ["{spelling}"]'
        return Mistake("unknown-resource", message, mend, certain=False)
    near = get_close_matches(name, [each.name for each in known.in_group(group)], 1, 0.75)
    return Mistake(
        "unknown-resource",
        f'no known release serves "{name}" in {shown}',
        f'did you mean "{near[0]}{rest}"?' if near else "compare with `kubectl api-resources`",
        certain=False,
    )


def _misnamed(resource: KnownResource, name: str, rest: str, *, certain: bool) -> Mistake:
    right = f'write "{resource.name}{rest}"'
    if name.lower() == resource.name:
        return Mistake("wrong-case-resource", f'"{name}" matches nothing: names of resources are in lower case', right)
    if name.lower() in resource.short_names:
        message = f'"{name}" matches nothing: the short name is known to kubectl alone'
        return Mistake("short-resource-name", message, right, certain)
    message = f'"{name}" matches nothing: resources go by their lower-case plural'
    return Mistake("singular-resource", message, right, certain)


def _mistake_in_subresource(resource: KnownResource, subresource: str) -> Mistake | None:
    if subresource in ("", "*", *resource.subresources):
        return None
    near = get_close_matches(subresource.lower(), resource.subresources, 1)
    return Mistake(
        "unknown-subresource",
        f'no known release serves "{resource.name}/{subresource}"',
        f'did you mean "{resource.name}/{near[0]}"?' if near else "remove it, or compare with the API reference",
        certain=subresource != subresource.lower(),
    )


def _mistake_in_any_subresource(group: str, subresource: str, known: KnownResources) -> Mistake | None:
    if not subresource or group not in known.groups:
        return None
    existing = sorted({each for resource in known.in_group(group) for each in resource.subresources})
    if subresource in existing:
        return None
    near = get_close_matches(subresource, existing, 1)
    return Mistake(
        "unknown-subresource",
        f'no known release serves a subresource "{subresource}" in this group',
        f'did you mean "*/{near[0]}"?' if near else "remove it, or compare with the API reference",
        certain=False,
    )


def _candidates(group: str, known: KnownResources) -> tuple[KnownResource, ...]:
    return known.served if group == "*" else known.in_group(group)


def _names_of(resource: KnownResource) -> frozenset[str]:
    return frozenset({resource.name, resource.kind.lower(), *resource.short_names} - {""})
