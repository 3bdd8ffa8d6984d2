"""The checks that a decoded policy must pass before the API server starts with it.

Follows `pkg/apis/audit/validation/validation.go` of kubernetes/apiserver. Verbs, users, groups, namespaces and resource
strings are not checked there; whether they make sense is for the linter to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.document import shorten
from audit_operator.policy.gates import GROUP_WILDCARD, NEWEST, Version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from audit_operator.policy.document import Path

_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_SUBDOMAIN = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*")
_LONGEST_SUBDOMAIN = 253


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule of validation that a policy breaks."""

    path: Path
    message: str
    mend: str = ""


def validate(policy: Mapping[str, Any], kubernetes: Version = NEWEST) -> Iterator[Violation]:
    """What an API server of that minor refuses.

    Args:
        policy: the fields that are set, named and nested as in audit.k8s.io/v1; types are taken for granted.
        kubernetes: minor of the API server.
    """
    yield from _stages(policy.get("omitStages", ()), ("omitStages",))
    for index, rule in enumerate(policy.get("rules", ())):
        yield from _rule(rule, ("rules", index), kubernetes)


def _rule(rule: Mapping[str, Any], path: Path, kubernetes: Version) -> Iterator[Violation]:
    yield from _level(rule.get("level"), (*path, "level"))
    urls = rule.get("nonResourceURLs", ())
    yield from _urls(urls, (*path, "nonResourceURLs"))
    for index, entry in enumerate(rule.get("resources", ())):
        yield from _entry(entry, (*path, "resources", index), kubernetes)
    yield from _stages(rule.get("omitStages", ()), (*path, "omitStages"))
    if urls and (rule.get("resources") or rule.get("namespaces")):
        message = "cannot stand in a rule about resources or namespaces"
        yield Violation((*path, "nonResourceURLs"), message, "make two rules of it")


def _level(level: str | None, path: Path) -> Iterator[Violation]:
    levels = ", ".join(Level)
    if not level:
        yield Violation(path, "is required", f"write one of {levels}")
    elif level not in list(Level):
        yield Violation(path, f"is {shorten(level)!r}, which is no level", f"write one of {levels}")


def _stages(stages: Sequence[str], path: Path) -> Iterator[Violation]:
    for index, stage in enumerate(stages):
        if stage not in list(Stage):
            yield Violation(
                (*path, index), f"is {shorten(stage)!r}, which is no stage", f"write one of {', '.join(Stage)}"
            )


def _urls(urls: Sequence[str], path: Path) -> Iterator[Violation]:
    for index, url in enumerate(urls):
        if url == "*":
            continue
        if not url.startswith("/"):
            yield Violation(
                (*path, index), f"is {shorten(url)!r}, which does not begin with `/`", "only `*` alone may do without"
            )
        if "*" in url[:-1]:
            yield Violation((*path, index), f"is {shorten(url)!r}, with a `*` before the end", "`*` may only come last")


def _entry(entry: Mapping[str, Any], path: Path, kubernetes: Version) -> Iterator[Violation]:
    yield from _group(entry.get("group", ""), (*path, "group"), kubernetes)
    if entry.get("resourceNames") and not entry.get("resources"):
        message = "needs resources in the same entry"
        yield Violation((*path, "resourceNames"), message, "name the resources that have these names")


def _group(group: str, path: Path, kubernetes: Version) -> Iterator[Violation]:
    if group == "*":
        if kubernetes < GROUP_WILDCARD.since:
            message = (
                f"is `*`, which Kubernetes {kubernetes} refuses: {GROUP_WILDCARD.what} came with {GROUP_WILDCARD.since}"
            )
            yield Violation(path, message, "list the API groups one by one")
    elif group and not (len(group) <= _LONGEST_SUBDOMAIN and _DNS_SUBDOMAIN.fullmatch(group)):
        mend = f"write `{shorten(group.partition('/')[0])}`, without the version" if "/" in group else ""
        yield Violation(path, f"is {shorten(group)!r}, which is no API group: not a lower-case DNS subdomain", mend)
