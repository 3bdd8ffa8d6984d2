"""Events of every sort that detections tell apart, drawn from few words, and what a collector has counted of them."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

from audit_operator.api.audit import Stage
from audit_operator.api.detection import FieldTest, Selection
from audit_operator.api.rules import GroupResources
from audit_operator.detections.condition import evaluate
from audit_operator.detections.history import value_of
from audit_operator.detections.series import (
    DETECTION,
    NAMESPACE,
    PROBE,
    condition_id,
    counted_labels,
    keys_of,
    label_of,
)
from audit_operator.shipping.collector.counting import CONTROL_PLANE, METRIC, START

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping

    from audit_operator.detections.own import OwnDetection

Series = tuple[tuple[str, str], ...]

NAMESPACES = ["prod-web", "prod-db", "kube-system", "dev"]
USERS = ["alice", "bob", "system:anonymous", "system:node:n1", "system:serviceaccount:kube-system:x", "a.b", 'q"<\\>']
GROUPS = ["system:masters", "system:authenticated", "dev,ops", 'we"ird', "a&b", "1"]
VERBS = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]
RESOURCES = [
    ("", "secrets", ""), ("", "pods", "exec"), ("", "pods", "attach"), ("", "pods", ""),
    ("", "serviceaccounts", "token"),
    ("rbac.authorization.k8s.io", "clusterrolebindings", ""), ("rbac.authorization.k8s.io", "rolebindings", ""),
    ("audit-operator.dev", "auditpolicies", ""), ("apps", "deployments", "scale"), ("apps", "deployments", ""),
]  # fmt: skip
CODES = [101, 200, 201, 202, 401, 403, 404, 500, 503]
NAMES = ["a", "b", "web-1", "x.y"]
LATENCIES = ["650.5ms", "1.2s", "5s", "5.000001s", "4.999s", "1m2.5s", "nonsense", "7µs"]
VALUES: list[Any] = [
    "cluster-admin", "nginx:1.27", "a", "ab", "a,b", 'say "a"', "<b>", "back\\slash", "ü", "line\nbreak", "", ",", "c",
    "\u2028", 3, 0, -7, 1.5, True, False, None, "3", "true",
]  # fmt: skip
FIELDS = [
    "requestObject.spec.containers.image", "responseObject.roleRef.name", "requestObject.spec.replicas",
    "requestObject.metadata.labels.app.kubernetes.io/name", "annotations.authorization.k8s.io/decision",
    "responseStatus.reason", "responseStatus.code", "responseStatus.details.causes.reason", "userAgent",
    "impersonatedUser.username", "impersonatedUser.groups", "requestObject.value", "requestObject", "requestObject.a.b",
]  # fmt: skip


def event(draw: random.Random, number: int) -> dict[str, Any]:
    """An event as the API server writes it, of some stage, with some body."""
    code, verb = draw.choice(CODES), draw.choice(VERBS)
    made: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": f"id-{number}",
        "stage": draw.choice(["ResponseComplete"] * 4 + ["ResponseStarted"] * 2 + ["RequestReceived"]),
        **_what(draw, verb),
        "user": {"username": draw.choice(USERS), "groups": draw.sample(GROUPS, draw.randrange(4))},
        "sourceIPs": draw.sample(["192.0.2.1", "198.51.100.7", "2001:db8::1"], draw.randrange(4)),
        "responseStatus": {"metadata": {}, "code": code, "reason": draw.choice(["Forbidden", "x"])},
        "requestReceivedTimestamp": "2026-11-28T07:00:00.000000Z",
        "stageTimestamp": f"2026-11-28T07:{draw.randrange(60):02}:00.000001Z",
        "annotations": {
            "authorization.k8s.io/decision": draw.choice(["allow", "forbid"]),
            **({"apiserver.latency.k8s.io/total": draw.choice(LATENCIES)} if draw.random() < 0.5 else {}),
        },
    }
    if not made["user"]["groups"]:
        del made["user"]["groups"]
    if draw.random() < 0.7:
        made["userAgent"] = draw.choice(["kubectl/v1.37", "curl/8", "ü" * 300])
    if draw.random() < 0.2:
        made["impersonatedUser"] = {"username": draw.choice(USERS), "groups": [draw.choice(GROUPS)]}
    if draw.random() < 0.2:
        made["responseStatus"]["details"] = {"causes": [{"reason": _value(draw)} for _ in range(draw.randrange(3))]}
    if draw.random() < 0.8:
        made["requestObject"] = _body(draw)
    if draw.random() < 0.8:
        made["responseObject"] = {"roleRef": {"name": draw.choice(["cluster-admin", "view"])}}
    return made


def _what(draw: random.Random, verb: str) -> dict[str, Any]:
    if draw.random() < 0.1:
        return {"requestURI": draw.choice(["/healthz?verbose", "/metrics", "/apis"]), "verb": verb}
    group, resource, subresource = draw.choice(RESOURCES)
    namespace = "" if resource == "clusterrolebindings" else draw.choice([*NAMESPACES, ""])
    name = "" if verb in {"list", "deletecollection"} else draw.choice(NAMES)
    where = f"/namespaces/{namespace}" if namespace else ""
    path = "/".join(filter(None, (resource, name, subresource)))
    reference = {
        "resource": resource, "namespace": namespace, "name": name, "apiGroup": group, "apiVersion": "v1",
        "subresource": subresource,
    }  # fmt: skip
    return {
        "requestURI": f"/{f'apis/{group}' if group else 'api'}/v1{where}/{path}",
        "verb": verb,
        "objectRef": {key: value for key, value in reference.items() if value},
    }


def _value(draw: random.Random) -> Any:
    return draw.choice(VALUES)


def _body(draw: random.Random) -> Any:
    if draw.random() < 0.2:  # a JSON patch
        return [{"op": "add", "path": "/x", "value": _value(draw)} for _ in range(draw.randrange(4))]
    containers = [{"name": "c", "image": _value(draw)} for _ in range(draw.randrange(4))]
    return {
        "metadata": {"labels": {"app.kubernetes.io/name": str(_value(draw))}},
        "spec": {"containers": containers, "replicas": _value(draw)},
        "value": draw.choice([_value(draw), [_value(draw), _value(draw)], [[_value(draw)], _value(draw)]]),
        "a": draw.choice([_value(draw), {"b": _value(draw)}, [{"b": _value(draw)}, {"b": [_value(draw)]}, "b"], {}]),
    }


def selection(draw: random.Random) -> Selection:
    """One that is not too choosy: it asks for one thing, or for two or three."""
    wanted: dict[str, Any] = {}
    for key in draw.sample(sorted(_PARTS), draw.choice([1, 1, 2, 3])):
        wanted[key] = _PARTS[key](draw)
    return Selection(**wanted)


def _pattern(draw: random.Random, words: list[Any]) -> str:
    word = _text(draw.choice(words)) or "*"
    if draw.random() < 0.5:
        return word
    at = draw.randrange(len(word) + 1)
    return draw.choice(
        [f"{word[:at]}*", f"*{word[at:]}", f"*{word[at : at + 1]}*", f"{word[:at]}**{word[at + 1 :]}", "*"]
    )


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else "" if value is None else str(value)


def _patterns(draw: random.Random, words: list[Any]) -> tuple[str, ...]:
    return tuple(_pattern(draw, words) for _ in range(draw.choice([1, 2])))


def _resources(draw: random.Random) -> GroupResources:
    group, resource, subresource = draw.choice(RESOURCES)
    spelled = [f"{resource}/{subresource}" if subresource else resource, "*", f"{resource}/*", "*/scale", resource]
    names = (draw.choice(NAMES),) if draw.random() < 0.3 else ()
    resources = () if draw.random() < 0.2 and not names else (draw.choice(spelled[:1] * 3 + spelled),)
    return GroupResources(group=draw.choice([group, group, "*"]), resources=resources, resource_names=names)


def _field(draw: random.Random) -> FieldTest:
    words = [*VALUES, *USERS, *GROUPS, "Forbidden", "allow", "403", "200", "kubectl/v1.37"]
    return FieldTest(path=draw.choice(FIELDS), values=_patterns(draw, words) if draw.random() < 0.8 else ())


_PARTS: dict[str, Any] = {
    "users": lambda draw: _patterns(draw, USERS),
    "except_users": lambda draw: _patterns(draw, USERS),
    "user_groups": lambda draw: _patterns(draw, GROUPS),
    "verbs": lambda draw: tuple(draw.sample(VERBS, 3)),
    "resources": lambda draw: tuple(_resources(draw) for _ in range(draw.choice([1, 2]))),
    "namespaces": lambda draw: _patterns(draw, NAMESPACES),
    "except_namespaces": lambda draw: _patterns(draw, NAMESPACES),
    "status_codes": lambda draw: tuple(draw.sample(CODES, 3)),
    "slower_than": lambda draw: draw.choice(["650ms", "1s", "5s"]),
    "fields": lambda draw: tuple(_field(draw) for _ in range(draw.choice([1, 1, 2]))),
    "stages": lambda draw: (draw.choice(list(Stage)),),
}


def expected(
    detections: Iterable[tuple[OwnDetection, tuple[str, ...] | None]], events: Iterable[Mapping[str, Any]], prober: str
) -> Counter[Series]:
    """What conditions and labels make of events: detections with their namespaces; None for all of the cluster.

    Of several that count alike, the first says where.
    """
    counts: Counter[Series] = Counter()
    wanted = {
        condition_id(own, namespaced=where is not None): (own, where) for own, where in reversed(list(detections))
    }
    for own, namespaces in wanted.values():
        known = {label_of(key): key for key in keys_of(own)}
        identity = condition_id(own, namespaced=namespaces is not None)
        for each in events:
            namespace = each.get("objectRef", {}).get("namespace", "")
            if evaluate(own.condition, each) is not True or (namespaces is not None and namespace not in namespaces):
                continue
            labels = {"detection": identity}
            for label in counted_labels(own, namespaced=namespaces is not None):
                value = value_of(known[label], each) if label in known else namespace
                labels[label] = value.encode()[:256].decode(errors="ignore")
            if each["user"]["username"] == prober:
                labels[PROBE] = "true"
            counts[series(labels)] += 1
    return counts


def series(labels: Mapping[str, str]) -> Series:
    """What Prometheus tells apart, but for what all have, and what differs from start to start."""
    return tuple(sorted((key, value) for key, value in labels.items() if value and key not in {START, CONTROL_PLANE}))


def by_namespace(counts: Counter[Series]) -> Counter[Series]:
    """What a collector should have counted of the same events whatever they are told apart by."""
    added: Counter[Series] = Counter()
    for told_apart, number in counts.items():
        kept = (pair for pair in told_apart if pair[0] in {DETECTION, PROBE, NAMESPACE})
        added[tuple(kept)] += number
    return added


def scraped(address: str, metric: str = METRIC) -> Counter[Series]:
    """What a collector, or whoever serves what it has counted, shows at ``HOST:PORT``."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    counts: Counter[Series] = Counter()
    for family in text_string_to_metric_families(text):
        if family.name == metric:
            for sample in family.samples:
                counts[series(sample.labels)] += int(sample.value)
    return counts
