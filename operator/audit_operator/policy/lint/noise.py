"""What fills the log without telling anything: the top talkers of every cluster, and large, useless bodies."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.api.findings import Severity
from audit_operator.policy.lint.check import WHOLE_ONLY, Check, Report, Subject
from audit_operator.policy.lint.trial_requests import ANONYMOUS, CUSTOM_GROUP, About, ordinary_users, user_named
from audit_operator.policy.model import Request, User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NODE = user_named("system:node:any-node")
CONTROLLER_MANAGER = user_named("system:kube-controller-manager")
SCHEDULER = user_named("system:kube-scheduler")
API_SERVER = User("system:apiserver", ("system:masters", "system:authenticated"))

HEALTH_PATHS = ("/healthz", "/livez", "/readyz")


@dataclass(frozen=True, slots=True)
class Talker:
    """A frequent request, and the highest level at which it tells more than it costs."""

    what: str
    user: User
    about: About
    enough: Level
    namespace: str = "kube-system"


LEASES = (
    Talker(
        "Leases renewed by every node and every leader, every few seconds, are",
        NODE,
        About("update", "coordination.k8s.io", "leases", named=True),
        Level.NONE,
        "kube-node-lease",
    ),
)
EVENTS = tuple(
    Talker(
        "Events written by every component are",
        NODE,
        About(verb, group, "events", named=verb == "patch"),
        Level.METADATA,
    )
    for group in ("", "events.k8s.io")
    for verb in ("create", "patch")
)
NODE_STATUS = (
    Talker(
        "Node objects of tens of kilobytes, returned to every node that reports its status, are",
        NODE,
        About("patch", "", "nodes", "status", namespaced=False, named=True),
        Level.REQUEST,
    ),
)
COMPONENTS = (
    Talker(
        "EndpointSlices kept up to date by their controller are",
        user_named("system:serviceaccount:kube-system:endpointslice-controller"),
        About("update", "discovery.k8s.io", "endpointslices", named=True),
        Level.METADATA,
    ),
    Talker(
        "statuses kept up to date by the Deployment controller are",
        user_named("system:serviceaccount:kube-system:deployment-controller"),
        About("update", "apps", "deployments", "status", named=True),
        Level.REQUEST,
    ),
    Talker(
        "objects that the API server reads for itself are",
        API_SERVER,
        About("get", "", "namespaces", namespaced=False, named=True),
        Level.REQUEST,
    ),
)


def talking(talkers: tuple[Talker, ...], mend: str) -> Callable[[Subject], Iterator[Report]]:
    """The check that talkers are recorded at no higher level than is worth it."""

    def check(subject: Subject) -> Iterator[Report]:
        seen: set[tuple[int | None, str]] = set()
        for talker in talkers:
            decision = subject.decide(talker.about.by(talker.user, talker.namespace))
            if decision.level > talker.enough and (decision.rule, talker.what) not in seen:
                seen.add((decision.rule, talker.what))
                bodies = decision.level > Level.METADATA
                message = f"{talker.what} recorded at level {decision.level}"
                yield Report(
                    message, mend, decision.rule, (), Severity.WARNING if bodies and not talker.enough.rank else None
                )

    return check


def health_checks(subject: Subject) -> Iterator[Report]:
    """Health checks by load balancers and kubelets, which are anonymous."""
    decisions = {
        path: subject.decide(Request(ANONYMOUS, "get", resource_request=False, path=path)) for path in HEALTH_PATHS
    }
    recorded = [path for path, decision in decisions.items() if decision.level is not Level.NONE]
    if recorded:
        dropped = [path for path in HEALTH_PATHS if path not in recorded]
        beside = f", although {' and '.join(dropped)} {'is' if len(dropped) == 1 else 'are'} dropped" if dropped else ""
        yield Report(
            f"health checks, every few seconds, are recorded: {', '.join(recorded)}{beside}",
            'drop nonResourceURLs: ["/healthz*", "/livez*", "/readyz*"], verbs: ["get", "head"], in a rule before',
            decisions[recorded[0]].rule,
        )


def one_events_group(subject: Subject) -> Iterator[Report]:
    """Events dropped in the core group alone."""
    about = About("create", "", "events")
    core = subject.decide(about.by(SCHEDULER))
    newer = subject.decide(About("create", "events.k8s.io", "events").by(SCHEDULER))
    if core.rule is not None and subject.drops(core.rule) and newer.level is not Level.NONE:
        yield Report(
            "Events are dropped in the core group alone; the scheduler and others write them through events.k8s.io, "
            f"which is recorded at level {newer.level}",
            'add group: "events.k8s.io", resources: ["events"]',
            core.rule,
            ("resources",),
        )


def former_leader_election(subject: Subject) -> Iterator[Report]:
    """Leader election silenced where it no longer happens."""
    for index, rule in subject.examined():
        if rule.level is not Level.NONE or not {CONTROLLER_MANAGER.name, SCHEDULER.name}.intersection(rule.users):
            continue
        user = next(each for each in (CONTROLLER_MANAGER, SCHEDULER) if each.name in rule.users)
        if any(
            subject.decide(About("update", "", kind, named=True).by(user, "kube-system")).rule == index
            for kind in ("endpoints", "configmaps")
        ):
            yield Report(
                "the rule drops leader election through endpoints or configmaps; since Kubernetes 1.20 it goes through "
                "leases in coordination.k8s.io",
                'remove it, or write group: "coordination.k8s.io", resources: ["leases"]',
                index,
            )


def full_lists(subject: Subject) -> Iterator[Report]:
    """Lists recorded with every object in them."""
    found: defaultdict[int, dict[str, None]] = defaultdict(dict)
    for user in ordinary_users(subject.policy):
        for about in (
            About("list", "", "pods"),
            About("list", "", "nodes", namespaced=False),
            About("list", "apps", "deployments"),
            About("list", CUSTOM_GROUP, "things"),
        ):
            decision = subject.decide(about.by(user))
            if decision.level is Level.REQUEST_RESPONSE and decision.rule is not None:
                found[decision.rule]["custom resources" if about.group == CUSTOM_GROUP else about.resource] = None
    for index, kinds in found.items():
        yield Report(
            f"lists are recorded with every object in them: {', '.join(kinds)}",
            "record get, list and watch at a lower level in a rule before this one",
            index,
            ("level",),
        )


CHECKS = (
    Check(
        "noise-leases",
        Severity.INFO,
        "Lease renewals recorded",
        talking(LEASES, 'drop update and patch of leases in "coordination.k8s.io" by system:nodes in an earlier rule'),
        WHOLE_ONLY,
    ),
    Check(
        "noise-events",
        Severity.WARNING,
        "Events recorded with bodies",
        talking(
            EVENTS, "drop create, update and patch of events, or record them at level Metadata, in an earlier rule"
        ),
        WHOLE_ONLY,
    ),
    Check(
        "noise-events-group", Severity.INFO, "Events dropped in one of their two groups", one_events_group, WHOLE_ONLY
    ),
    Check("noise-health-checks", Severity.INFO, "Health checks recorded", health_checks, WHOLE_ONLY),
    Check(
        "noise-node-status",
        Severity.WARNING,
        "Node status recorded with responses",
        talking(NODE_STATUS, "record nodes/status by system:nodes at level Metadata in an earlier rule"),
        WHOLE_ONLY,
    ),
    Check(
        "noise-components",
        Severity.INFO,
        "Routine work of Kubernetes' own components recorded with bodies",
        talking(COMPONENTS, "record them at a lower level in an earlier rule"),
        WHOLE_ONLY,
    ),
    Check(
        "former-leader-election",
        Severity.INFO,
        "Leader election silenced where it no longer happens",
        former_leader_election,
        WHOLE_ONLY,
    ),
    Check("full-lists", Severity.WARNING, "Lists recorded with every object in them", full_lists, WHOLE_ONLY),
)
