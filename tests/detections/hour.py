"""An hour of events as a small cluster makes them all day, and what somebody does who is up to no good."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGAN = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)
SECONDS = 3600
CONTROLLERS, SCHEDULER = "system:kube-controller-manager", "system:kube-scheduler"
MESH = "system:serviceaccount:mesh:certificates"


@dataclass(frozen=True)
class Request:
    """Somebody asks; `group/resource` is as in objectRef, an empty resource stands for a path."""

    user: str
    verb: str
    resource: str
    code: int = 200
    namespace: str = "shop"
    name: str = ""
    source: str = "10.0.0.1"
    stage: str = "ResponseComplete"
    more: dict[str, Any] = field(default_factory=dict)

    def event(self, second: float) -> dict[str, Any]:
        """Its event, so many seconds after the beginning."""
        at = (BEGAN + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")
        group, _, spelled = self.resource.rpartition(":")
        resource, _, subresource = spelled.partition("/")
        said = {"apiGroup": group, "resource": resource, "subresource": subresource, "namespace": self.namespace}
        reference = {key: value for key, value in {**said, "name": self.name}.items() if value}
        return {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "auditID": f"{second}-{self.user}-{self.name}",
            "stage": self.stage,
            "verb": self.verb,
            "user": {"username": self.user},
            "sourceIPs": [self.source],
            "requestURI": "/livez" if not resource else "/api",
            "responseStatus": {"code": self.code},
            "requestReceivedTimestamp": at,
            "stageTimestamp": at,
            **({"objectRef": reference} if resource else {}),
            **self.more,
        }


def ordinary() -> Iterator[tuple[float, Request]]:
    """The hour, in no order. Some of it fails, as it does."""
    for number, node in enumerate(("a", "b", "c")):
        yield from _node(f"system:node:{node}", f"10.0.1.{number}", number)
    for user in (CONTROLLERS, SCHEDULER):
        yield from _controller(user)
    yield from _mesh()
    yield from _pipeline()
    for user, source in (("jane", "10.0.4.1"), ("joe", "10.0.4.2")):
        yield from _person(user, source)
    yield from _trouble()


def _node(user: str, source: str, first: int) -> Iterator[tuple[float, Request]]:
    for at in range(first, SECONDS, 10):
        yield at, Request(user, "patch", "coordination.k8s.io:leases", namespace="kube-node-lease", source=source)
    for at in range(first, SECONDS, 60):
        yield at, Request(user, "patch", "nodes/status", namespace="", source=source)
        yield at, Request(user, "create", "serviceaccounts/token", 201, name=f"app-{at % 7}", source=source)
        for secret in range(12):
            yield at, Request(user, "get", "secrets", name=f"of-pod-{secret}", source=source)


def _controller(user: str) -> Iterator[tuple[float, Request]]:
    for at in range(0, SECONDS, 2):
        yield at, Request(user, "update", "coordination.k8s.io:leases", namespace="kube-system")
    for at in range(0, SECONDS, 420):
        yield at, Request(user, "watch", "pods", namespace="")


def _mesh() -> Iterator[tuple[float, Request]]:
    for at in range(5, SECONDS, 60):
        for secret in range(3):
            yield at, Request(MESH, "get", "secrets", namespace="mesh", name=f"issuer-{secret}", source="10.0.2.1")
        # Two writers of one object: one of them tries again.
        yield at, Request(MESH, "update", "certificates.k8s.io:certificatesigningrequests", 409, namespace="")


def _pipeline() -> Iterator[tuple[float, Request]]:
    source = "10.0.3.1"
    for at in range(20, SECONDS, 300):
        yield at, Request("deployer", "get", "secrets", name="registry", source=source)
        yield at, Request("deployer", "patch", "apps:deployments", name="web", source=source)
        for pod in range(3):
            yield at + 1, Request(CONTROLLERS, "create", "pods", 201)
            yield at + 40, Request(CONTROLLERS, "delete", "pods", name=f"web-{pod}")
        # What is known to be slow: all pods of the cluster, once for each roll-out.
        slow = {"annotations": {"apiserver.latency.k8s.io/total": "6.1s"}}
        yield at, Request("deployer", "list", "pods", namespace="", source=source, more=slow)


def _person(user: str, source: str) -> Iterator[tuple[float, Request]]:
    for at in range(0, SECONDS, 20):
        yield at, Request(user, "list", "pods", source=source)
    for at in range(0, SECONDS, 60):
        yield at, Request(user, "get", "pods", 404, name="wbe", source=source)
        yield at, Request(user, "list", "secrets", 403, namespace="mesh", source=source)
    for at in range(0, SECONDS, 180):
        yield at, Request("", "list", "pods", 401, source=source, stage="ResponseStarted")


def _trouble() -> Iterator[tuple[float, Request]]:
    """A balancer asks every second, and an API server is restarted every ten minutes; one answer is too late."""
    for at in range(SECONDS):
        yield at, Request("", "get", "", 500 if at % 600 < 25 else 200, namespace="", source="10.0.5.1")
    for at in range(100, SECONDS, 600):
        yield at, Request("jane", "list", "pods", 504, source="10.0.4.1")
        yield at, Request("system:serviceaccount:kube-system:namespace-controller", "deletecollection", "pods")


BINDING = {"responseObject": {"roleRef": {"name": "cluster-admin"}}}
SLOW = {"annotations": {"apiserver.latency.k8s.io/total": "5.5s"}}

ATTACKS: dict[str, tuple[int, Request]] = {
    "unauthenticated-burst": (20, Request("", "get", "pods", 401, source="6.6.6.6", stage="ResponseStarted")),
    "forbidden-burst": (20, Request("mallory", "get", "configmaps", 403, source="6.6.6.6")),
    "secret-enumeration": (10, Request("eve", "get", "secrets", 404)),
    "exec": (1, Request("trudy", "create", "pods/exec", 101, stage="ResponseStarted")),
    "cluster-admin-binding": (
        1,
        Request("oscar", "create", "rbac.authorization.k8s.io:clusterrolebindings", 201, more=BINDING),
    ),
    "token-minting": (5, Request("craig", "create", "serviceaccounts/token", 201)),
    "audit-tampering": (1, Request("sybil", "delete", "audit-operator.dev:auditpolicies", namespace="shop")),
    "anonymous-access": (1, Request("system:anonymous", "get", "configmaps", source="6.6.6.7")),
    "delete-collection-storm": (5, Request("wendy", "deletecollection", "pods")),
    "slow-endpoint": (5, Request("walter", "list", "events", more=SLOW)),
    "failing-endpoint": (20, Request("peggy", "update", "apps:deployments/scale", 503)),
}
"""How many of which request each preset takes."""


def attack(preset: str, second: float, *, fewer: int = 0) -> Iterator[tuple[float, Request]]:
    """As many requests as the preset takes, two seconds apart; or so many fewer."""
    count, request = ATTACKS[preset]
    for number in range(count - fewer):
        at = second + 2 * number
        yield at, Request(**{**request.__dict__, "name": f"{request.name or 'x'}-{number}"})
