"""An audit log as a busy cluster writes it, of any length: who asks, about what, and how large the bodies are."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMESPACES = 100
KINDS = ("configmaps", "deployments", "events", "leases", "pods", "secrets", "services")
_GROUPS = {"deployments": "apps", "leases": "coordination.k8s.io"}
_PLACEHOLDER = "@@"


def write_log(path: Path, events: int, *, seed: int = 1) -> None:
    """Write so many events; the same for the same seed."""
    draw = random.Random(seed)
    shapes = [shape for _ in range(400) for shape in _shapes(draw)]
    with path.open("w", buffering=1 << 20) as file:
        for number in range(events):
            head, *rest = shapes[draw.randrange(len(shapes))]
            name = f"x-{draw.randrange(50_000):05d}"
            file.write(head + f"{number:012d}" + name.join(rest))


def _shapes(draw: random.Random) -> Iterator[list[str]]:
    """Lines cut where an audit ID and a name belong."""
    for user, groups in (
        ("system:kube-controller-manager", ["system:authenticated"]),
        (f"system:node:node-{draw.randrange(200)}", ["system:nodes", "system:authenticated"]),
        ("system:serviceaccount:kube-system:operator", ["system:serviceaccounts", "system:authenticated"]),
        (f"user-{draw.randrange(300)}@example.com", ["dev", "system:authenticated"]),
    ):
        verb = draw.choice(["get", "get", "list", "watch", "update", "patch", "create"])
        yield _cut(_event(draw, user, groups, verb, draw.choice(KINDS)))


def _event(draw: random.Random, user: str, groups: list[str], verb: str, resource: str) -> dict[str, object]:
    namespace = f"team-{draw.randrange(NAMESPACES):03d}"
    group = _GROUPS.get(resource, "")
    base = f"/apis/{group}/v1" if group else "/api/v1"
    uri = f"{base}/namespaces/{namespace}/{resource}"
    named = verb in {"get", "update", "patch"}
    uri += f"/{_PLACEHOLDER}" if named else f"?limit=500&resourceVersion={draw.randrange(10**7)}"
    body = {
        "kind": "Thing",
        "metadata": {"name": _PLACEHOLDER, "namespace": namespace, "labels": {"app": "web"}},
        "spec": {"items": [{"name": f"item-{number}", "value": "v" * 30} for number in range(draw.randrange(1, 6))]},
    }
    writes = verb in {"create", "update", "patch"}
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse" if writes else "Metadata",
        "auditID": f"ID{_PLACEHOLDER}",
        "stage": "ResponseComplete",
        "requestURI": uri,
        "verb": verb,
        "user": {"username": user, "groups": groups, "extra": {"authentication.kubernetes.io/credential-id": ["X"]}},
        "sourceIPs": ["192.0.2.7"],
        "userAgent": "client/v1.37 (linux/amd64) kubernetes/0000000",
        "objectRef": {"resource": resource, "namespace": namespace, "apiGroup": group, "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        **({"requestObject": body, "responseObject": body} if writes else {}),
        "requestReceivedTimestamp": "2026-11-28T07:00:00.000000Z",
        "stageTimestamp": "2026-11-28T07:00:00.004000Z",
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    }


def _cut(event: dict[str, object]) -> list[str]:
    head, tail = f"{json.dumps(event, separators=(',', ':'))}\n".split(f"ID{_PLACEHOLDER}")
    return [head, *tail.split(_PLACEHOLDER)]
