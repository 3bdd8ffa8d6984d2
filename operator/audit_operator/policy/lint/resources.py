"""Entries of `resources` that match nothing, or not what they seem to: names, scope, verbs and object names."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.api.findings import Severity
from audit_operator.policy.lint.check import RECORDING, Check, Report, Subject
from audit_operator.policy.lint.resource_names import mistake_in
from audit_operator.policy.lint.served import UNNAMED_VERBS, is_namespace, spelling_can_match, targets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.policy.document import Path
    from audit_operator.policy.model import GroupResources, Rule

Spelling = tuple[int, "Rule", "GroupResources", str, "Path"]


def _spellings(subject: Subject) -> Iterator[Spelling]:
    """Every string of every `resources` entry, with the rule's index and the path within the rule."""
    for index, rule in subject.rules():
        for number, entry in enumerate(rule.resources):
            for position, spelling in enumerate(entry.resources):
                yield index, rule, entry, spelling, ("resources", number, "resources", position)


def misnamed(subject: Subject, check: str) -> Iterator[Report]:
    """Names with one kind of mistake."""
    for index, rule, entry, spelling, path in _spellings(subject):
        mistake = mistake_in(entry.group, spelling, subject.known)
        if mistake and mistake.id == check:
            severity = subject.loss(rule) if mistake.certain else Severity.WARNING
            yield Report(mistake.message, mistake.mend, index, path, severity)


def unknown_groups(subject: Subject) -> Iterator[Report]:
    """Groups that cannot exist, for entries that take in the whole group and those that name resources alike."""
    for index, rule in subject.rules():
        for number, entry in enumerate(rule.resources):
            mistake = mistake_in(entry.group, "*", subject.known)
            if mistake and mistake.id == "unknown-group":
                yield Report(mistake.message, mistake.mend, index, ("resources", number, "group"), subject.loss(rule))


def removed_apis(subject: Subject) -> Iterator[Report]:
    """Groups and resources that API servers do not serve any more."""
    for index, rule in subject.rules():
        for number, entry in enumerate(rule.resources):
            path: Path = ("resources", number)
            since = subject.known.group_removed_in(entry.group)
            if since and _is_past(subject, since):
                message = f'no API server since {since[0]}.{since[1]} serves the group "{entry.group}"'
                yield Report(message, "remove the entry once no older API server reads the policy", index, path)
                continue
            for position, spelling in enumerate(entry.resources):
                removed = subject.known.find_removed(entry.group, spelling.partition("/")[0])
                if removed and _is_past(subject, removed.removed_in):
                    release = "{}.{}".format(*removed.removed_in)
                    message = f'no API server since {release} serves "{spelling}" in the group "{entry.group}"'
                    yield Report(message, "remove it", index, (*path, "resources", position))


def _is_past(subject: Subject, release: tuple[int, int]) -> bool:
    return subject.version is None or subject.version >= release


def scope_mismatches(subject: Subject) -> Iterator[Report]:
    """Cluster-scoped resources asked for in a namespace, and the reverse."""
    for index, rule, entry, spelling, path in _spellings(subject):
        anywhere = replace(rule, namespaces=())
        if not rule.namespaces or not _is_cause(subject, entry, spelling, rule, anywhere):
            continue
        (resource, _), *_ = targets(entry.group, spelling, subject.known)
        if resource.namespaced:
            why = 'namespace "" takes in nothing of a namespaced resource but lists and watches across all namespaces'
            mend = "name the namespaces, or leave namespaces out"
        elif resource.name == "namespaces" and "" in rule.namespaces:
            why = "reading or changing a Namespace counts as being in the namespace of that name"
            mend = "leave namespaces out, or name the namespaces"
        elif resource.name == "namespaces":
            why = 'creating and listing Namespaces counts as being in namespace ""'
            mend = 'add "" to namespaces, or leave them out'
        else:
            why, mend = f"{resource.name} are in no namespace", 'write namespaces: [""], or leave namespaces out'
        yield Report(f'"{spelling}" never matches here: {why}', mend, index, path, subject.loss(rule))


def unserved_verbs(subject: Subject) -> Iterator[Report]:
    """Resources for which none of the rule's verbs is served."""
    for index, rule, entry, spelling, path in _spellings(subject):
        nameless = replace(entry, resource_names=())
        anywhere = replace(rule, namespaces=())
        if rule.verbs and _is_cause(subject, nameless, spelling, anywhere, replace(anywhere, verbs=())):
            served = {
                verb
                for resource, sub in targets(entry.group, spelling, subject.known)
                for verb in (resource.subresources[sub] if sub else resource.verbs)
            }
            message = f'"{spelling}" never matches here: it is not served with {" or ".join(rule.verbs)}'
            yield Report(message, f"list some of its verbs: {', '.join(sorted(served))}", index, path)


def _is_cause(subject: Subject, entry: GroupResources, spelling: str, rule: Rule, relaxed: Rule) -> bool:
    """Whether a known resource is out of the rule's reach and would be within it if the rule were relaxed."""
    return (
        any(targets(entry.group, spelling, subject.known))
        and not spelling_can_match(entry, spelling, rule, subject.known)
        and spelling_can_match(entry, spelling, relaxed, subject.known)
    )


def names_without_requests(subject: Subject) -> Iterator[Report]:
    """Object names beside verbs whose requests carry none."""
    for index, rule in subject.rules():
        for number, entry in enumerate(rule.resources):
            names = [name for name in entry.resource_names if name]
            plain = [each for each in entry.resources if "/" not in each]
            if not names or "" in entry.resource_names or not plain:
                continue
            never = [verb for verb in rule.verbs if verb in UNNAMED_VERBS]
            rarely = [verb for verb in rule.verbs if verb in ("list", "watch")]
            path: Path = ("resources", number, "resourceNames")
            if never:
                yield Report(
                    f"a request to {' or '.join(never)} never carries a name, so that the entry does not match it",
                    f"put {' and '.join(never)} into a rule without resourceNames",
                    index,
                    path,
                    subject.loss(rule) if len(never) == len(rule.verbs) else Severity.WARNING,
                )
            if rarely:
                yield Report(
                    f"a request to {' or '.join(rarely)} carries a name only through "
                    "fieldSelector=metadata.name; others do not match the entry",
                    f"put {' and '.join(rarely)} into a rule without resourceNames, or leave them out",
                    index,
                    path,
                    Severity.INFO,
                )


def parents_included(subject: Subject) -> Iterator[Report]:
    """`pods/*`, which takes in `pods` too."""
    for index, rule, entry, spelling, path in _spellings(subject):
        name = spelling.removesuffix("/*")
        if spelling.endswith("/*") and name != "*" and name not in entry.resources:
            message = f'"{spelling}" takes in "{name}" itself, not only its subresources'
            mend = f'name the subresources if "{name}" is not meant; add "{name}" if it is'
            yield Report(message, mend, index, path, Severity.WARNING if rule.level is Level.NONE else None)


def empty_namespaces(subject: Subject) -> Iterator[Report]:
    """Namespace `""`, which leaves out operations on Namespace objects and takes in lists across all namespaces."""
    for index, rule in subject.rules():
        if "" not in rule.namespaces or any(is_namespace(name) for name in rule.namespaces):
            continue
        path: Path = ("namespaces", rule.namespaces.index(""))
        resources = [
            resource
            for entry in rule.resources
            for spelling in entry.resources or ("*",)
            for resource, _ in targets(entry.group, spelling, subject.known)
        ]
        if any((each.group, each.name) == ("", "namespaces") for each in resources) or not rule.resources:
            yield Report(
                'namespace "" does not take in reading, changing or deleting a Namespace: such a request counts as '
                "being in the namespace of that name",
                'add a rule for resources: ["namespaces", "namespaces/*"] without namespaces',
                index,
                path,
                Severity.WARNING if rule.resources else None,
            )
        elif resources and all(each.namespaced for each in resources):
            yield Report(
                'namespace "" is not every namespace: of these resources it takes in only lists and watches across all '
                "namespaces",
                "leave namespaces out to match every namespace",
                index,
                path,
                Severity.WARNING,
            )


def _named(check: str, severity: Severity, title: str) -> Check:
    return Check(check, severity, title, partial(misnamed, check=check))


CHECKS = (
    Check("unknown-group", Severity.ERROR, "An API group that cannot exist", unknown_groups),
    _named("wrong-group", Severity.ERROR, "A resource under a group that does not have it"),
    _named("singular-resource", Severity.ERROR, "A singular name or a kind in place of the plural"),
    _named("short-resource-name", Severity.ERROR, "A short name that only kubectl knows"),
    _named("wrong-case-resource", Severity.ERROR, "A resource name with capitals"),
    _named("subresource-spelling", Severity.ERROR, "A subresource that is not written resource/subresource"),
    _named("resource-wildcard", Severity.ERROR, "A wildcard that matches nothing"),
    _named("authorization-only", Severity.ERROR, "A resource that exists in authorization only"),
    _named("unknown-resource", Severity.WARNING, "A resource that no known release serves"),
    _named("unknown-subresource", Severity.WARNING, "A subresource that no known release serves"),
    Check("removed-api", Severity.INFO, "A group or resource that is not served any more", removed_apis),
    Check("scope-mismatch", Severity.ERROR, "A resource that is never in the namespaces listed", scope_mismatches),
    Check("unserved-verb", Severity.INFO, "A resource that is not served with any of the verbs", unserved_verbs),
    Check(
        "names-without-requests",
        Severity.WARNING,
        "resourceNames with verbs that carry no name",
        names_without_requests,
    ),
    Check("parent-included", Severity.INFO, "pods/*, which takes in pods too", parents_included),
    Check(
        "empty-namespace", Severity.INFO, 'namespaces: [""], which is not what it seems', empty_namespaces, RECORDING
    ),
)
