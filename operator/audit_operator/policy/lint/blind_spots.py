"""What nobody leaves out on purpose: exec, reading Secrets, failed authentications, mass deletion, erased traces."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level, Stage
from audit_operator.api.findings import Severity
from audit_operator.policy.evaluate import resource_matches
from audit_operator.policy.lint.check import RECORDING, WHOLE_ONLY, Check, Report, Subject
from audit_operator.policy.lint.served import is_namespace, targets
from audit_operator.policy.lint.trial_requests import (
    ANY_NAMESPACE,
    ANYONE,
    CUSTOM_GROUP,
    WORKLOAD,
    About,
    fitting,
    names_objects,
    ordinary_users,
)
from audit_operator.policy.model import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.policy.model import Rule

STREAMS = ("exec", "attach", "portforward")
"""Subresources of pods through which a client gets into a container. A WebSocket client (kubectl since 1.30) opens them
with GET, verb get; a SPDY client with POST, verb create."""

NO_SHORT_REQUEST = frozenset({Stage.REQUEST_RECEIVED, Stage.RESPONSE_COMPLETE})
"""The stages of every request that is neither long-running nor a failed authentication nor a panic."""

_NAMESPACES = (ANY_NAMESPACE, "kube-system")
"""Where streams and Secrets must not be dropped: in namespaces at large, and where the cluster keeps its own."""

_SECRET_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")

_UNAUTHENTICATED = (
    About("get", "", "secrets", named=True),
    About("create", "", "pods"),
    About("list", CUSTOM_GROUP, "things"),
)


def stream_verbs(subject: Subject) -> Iterator[Report]:
    """Rules that list exec and its like with one of the two verbs that open a stream."""
    for index, rule in subject.examined():
        listed = {verb for verb in ("get", "create") if verb in rule.verbs}
        if rule.level is Level.NONE or len(listed) != 1:
            continue
        (present,) = listed
        missing = "create" if present == "get" else "get"
        client = "SPDY clients send (POST)" if present == "get" else "WebSocket clients, kubectl among them, send (GET)"
        lower = {
            stream: level
            for stream in STREAMS
            if _names_stream(rule, stream)
            for level in [_lower(subject, index, stream_request(present, stream), missing)]
            if level is not None
        }
        if lower:
            worst = min(lower.values(), key=lambda level: level.rank)
            yield Report(
                f"{_pods(lower)} {'is' if len(lower) == 1 else 'are'} listed with {present} only; {missing}, which "
                f"{client}, gets level {worst}",
                f"add {missing} to verbs",
                index,
                ("verbs",),
                Severity.ERROR if subject.loses(worst) else None,
            )


def stream_request(verb: str, stream: str) -> About:
    """Opening a stream into a container."""
    return About(verb, "", "pods", stream, named=True)


def _pods(streams: dict[str, Level]) -> str:
    return ", ".join(f"pods/{stream}" for stream in streams)


def _names_stream(rule: Rule, stream: str) -> bool:
    return any(
        spelling != "*" and resource_matches(spelling, "pods", stream)
        for entry in rule.resources
        if entry.group in ("", "*")
        for spelling in entry.resources
    )


def _lower(subject: Subject, index: int, about: About, other_verb: str) -> Level | None:
    """The lowest level at which the same request with another verb is recorded, if that is below the rule's own."""
    levels = [
        subject.decide(
            replace(request, verb=other_verb, name="" if other_verb == "deletecollection" else request.name)
        ).level
        for request in fitting(subject.policy.rules[index], about)
        if subject.decide(request).rule == index
    ]
    lowest = min(levels, key=lambda level: level.rank, default=None)
    return lowest if lowest is not None and lowest < subject.policy.rules[index].level else None


def dropped_streams(subject: Subject) -> Iterator[Report]:
    """Rules that drop exec and its like, on purpose or because they drop reads."""
    dropped: defaultdict[int, dict[tuple[str, str], None]] = defaultdict(dict)
    for user, namespace in product(ordinary_users(subject.policy), _NAMESPACES):
        for stream, verb in product(STREAMS, ("get", "create")):
            rule = subject.decide(stream_request(verb, stream).by(user, namespace)).rule
            if rule is not None and subject.drops(rule):
                dropped[rule][verb, stream] = None
    for rule, requests in dropped.items():
        shown = ", ".join(f"{verb} pods/{stream}" for verb, stream in requests)
        yield Report(
            f"requests that open a stream into a container are dropped: {shown}",
            "record pods/exec, pods/attach and pods/portforward, verbs get and create, in a rule before this one",
            rule,
        )


def dropped_secrets(subject: Subject) -> Iterator[Report]:
    """Rules that drop what is done to Secrets, often because they drop reads."""
    dropped: defaultdict[int, dict[str, None]] = defaultdict(dict)
    for user, namespace in product(ordinary_users(subject.policy), _NAMESPACES):
        for verb in _SECRET_VERBS:
            about = About(verb, "", "secrets", named=verb not in ("create", "list", "watch"))
            rule = subject.decide(about.by(user, namespace)).rule
            if rule is not None and subject.drops(rule):
                dropped[rule][verb] = None
    for rule, verbs in dropped.items():
        yield Report(
            f"requests for Secrets are dropped: {', '.join(verbs)}",
            "record secrets at level Metadata in a rule before this one",
            rule,
        )


def lost_authentication_failures(subject: Subject) -> Iterator[Report]:
    """Failed authentications (401), which have no user and stage ResponseStarted alone."""
    causes: defaultdict[int | None, list[str]] = defaultdict(list)
    unmatched = False
    for about in _UNAUTHENTICATED:
        decision = subject.decide(about.by(None))
        if decision.level is not Level.NONE:
            if Stage.RESPONSE_STARTED in decision.omit_stages:
                own = Stage.RESPONSE_STARTED not in subject.policy.omit_stages
                causes[decision.rule if own else None].append(about.resource)
        elif not subject.drops(decision.rule):
            others = (subject.decide(about.by(user)).level for user in ordinary_users(subject.policy))
            unmatched = unmatched or any(level is not Level.NONE for level in others)
    for rule in causes:
        yield Report(
            "failed authentications (401) are not recorded: their only event is at stage ResponseStarted, which is "
            "omitted",
            "take ResponseStarted out of omitStages",
            rule,
            ("omitStages",),
        )
    if unmatched:
        yield Report(
            "failed authentications (401) are not recorded: they have no user, and every rule that would record them "
            "lists users or userGroups",
            "end with a rule `- level: Metadata` that lists neither",
        )


def forgotten_mass_deletion(subject: Subject) -> Iterator[Report]:
    """Rules that record delete and leave out deletecollection."""
    for index, rule in subject.examined():
        if rule.level is Level.NONE or "delete" not in rule.verbs or "deletecollection" in rule.verbs:
            continue
        found = {}
        for about in _deletions(subject, rule):
            level = _lower(subject, index, about, "deletecollection")
            if level is not None:
                found[about.resource] = level
        if found:
            worst = min(found.values(), key=lambda level: level.rank)
            shown = ", ".join(sorted(found)[:3]) + (" and others" if len(found) > 3 else "")  # noqa: PLR2004 - enough to show
            yield Report(
                f"verbs hold delete without deletecollection: deleting many {shown} at once gets level {worst}",
                "add deletecollection to verbs",
                index,
                ("verbs",),
                Severity.ERROR if subject.loses(worst) else None,
            )


def _deletions(subject: Subject, rule: Rule) -> Iterator[About]:
    """Single deletions that the rule may be about, of resources that can be deleted together."""
    if not rule.resources and not rule.non_resource_urls:
        yield About("delete", CUSTOM_GROUP, "things", named=True)
    for entry in rule.resources:
        if names_objects(entry):
            continue  # who singles out objects by name cannot mean a request without names
        for spelling in entry.resources or ("*",):
            if spelling != "*" and entry.group not in subject.known.groups:
                yield About("delete", entry.group.replace("*", CUSTOM_GROUP), spelling, named=True)
            for resource, subresource in targets(entry.group, spelling, subject.known):
                if not subresource and "deletecollection" in resource.verbs:
                    yield About("delete", entry.group, resource.name, namespaced=resource.namespaced, named=True)


def hidden_namespace_objects(subject: Subject) -> Iterator[Report]:
    """Rules that drop what happens in a namespace, and with it what happens to the Namespace object."""
    for index, rule in subject.examined():
        names = [name for name in rule.namespaces if is_namespace(name)]
        if rule.level is not Level.NONE or any("namespaces" in entry.resources for entry in rule.resources):
            continue
        hidden = [
            f"{verb} {name}"
            for name in names
            for verb in ("delete", "patch", "update")
            if subject.decide(_namespace_request(verb, name)).rule == index
        ]
        if hidden:
            shown = ", ".join(hidden[:3])
            yield Report(
                "the rule also drops changes to the Namespace object itself, which count as being in the namespace: "
                f"{shown}{' and others' if len(hidden) > 3 else ''}",  # noqa: PLR2004 - enough to show
                'record resources: ["namespaces", "namespaces/*"] in a rule before this one',
                index,
                ("namespaces",),
            )


def _namespace_request(verb: str, name: str) -> Request:
    return Request(
        ANYONE, verb, resource_request=True, api_version="v1", namespace=name, resource="namespaces", name=name
    )


def hidden_event_deletion(subject: Subject) -> Iterator[Report]:
    """Rules that drop Events, and with them the deletion of Events."""
    hidden: defaultdict[int, dict[str, None]] = defaultdict(dict)
    for user in (ANYONE, WORKLOAD):
        for group in ("", "events.k8s.io"):
            for verb in ("delete", "deletecollection"):
                rule = subject.decide(About(verb, group, "events", named=verb == "delete").by(user)).rule
                if rule is not None and subject.drops(rule):
                    hidden[rule][verb] = None
    for index, verbs in hidden.items():
        yield Report(
            f"deleting Events, which erases traces, is dropped with the noise: {' and '.join(verbs)}",
            "add verbs to the rule: create, update, patch, get, list, watch",
            index,
        )


def missing_catch_all(subject: Subject) -> Iterator[Report]:
    """Lists of rules that end without deciding on everything."""
    about = (
        About(verb, CUSTOM_GROUP, "things", namespaced=namespaced, named=verb not in ("create", "list"))
        for verb in ("get", "list", "create", "update", "patch", "delete")
        for namespaced in (True, False)
    )
    requests = any(subject.decide(each.by(ANYONE)).rule is None for each in about)
    urls = subject.decide(Request(ANYONE, "get", resource_request=False, path=f"/{ANY_NAMESPACE}")).rule is None
    if requests or urls:
        what = "resources" if not urls else "URLs" if not requests else "resources and URLs"
        yield Report(
            f"requests for {what} that no rule matches are not recorded",
            "end with a rule `- level: Metadata`, or with `- level: None` if that is meant",
        )


def records_nothing(subject: Subject) -> Iterator[Report]:
    """Policies under which nothing is recorded."""
    if not any(
        rule.level is not Level.NONE and subject.reach.decides(index) and not _without_stages(subject, rule)
        for index, rule in subject.rules()
    ):
        yield Report("the policy records nothing", "end with a rule `- level: Metadata`")


def omitted_stages(subject: Subject) -> Iterator[Report]:
    """Rules that record no stage of an ordinary request."""
    for index, rule in subject.examined():
        if rule.level is not Level.NONE and _without_stages(subject, rule):
            yield Report(
                f"level {rule.level}, but an ordinary request has the stages RequestReceived and ResponseComplete, and "
                "both are omitted",
                "take ResponseComplete out of omitStages",
                index,
                ("omitStages",),
            )


def _without_stages(subject: Subject, rule: Rule) -> bool:
    return (subject.policy.omit_stages | rule.omit_stages) >= NO_SHORT_REQUEST


CHECKS = (
    Check("exec-verb-missing", Severity.WARNING, "exec and its like with one of two verbs", stream_verbs, RECORDING),
    Check("exec-dropped", Severity.ERROR, "A rule that drops exec and its like", dropped_streams, WHOLE_ONLY),
    Check("secrets-dropped", Severity.ERROR, "A rule that drops requests for Secrets", dropped_secrets, WHOLE_ONLY),
    Check(
        "failed-authentication-lost",
        Severity.ERROR,
        "Failed authentications that are not recorded",
        lost_authentication_failures,
        WHOLE_ONLY,
    ),
    Check(
        "deletecollection-missing",
        Severity.WARNING,
        "delete without deletecollection",
        forgotten_mass_deletion,
        RECORDING,
    ),
    Check(
        "namespace-object-hidden",
        Severity.WARNING,
        "A rule for a namespace that hides its deletion",
        hidden_namespace_objects,
        WHOLE_ONLY,
    ),
    Check(
        "event-deletion-hidden",
        Severity.WARNING,
        "A rule against noise that hides the deletion of Events",
        hidden_event_deletion,
        WHOLE_ONLY,
    ),
    Check(
        "missing-catch-all",
        Severity.WARNING,
        "Rules that end without deciding on everything",
        missing_catch_all,
        WHOLE_ONLY,
    ),
    Check("records-nothing", Severity.ERROR, "A policy that records nothing", records_nothing, WHOLE_ONLY),
    Check("stages-omitted", Severity.ERROR, "A rule without stages of ordinary requests", omitted_stages, RECORDING),
)
