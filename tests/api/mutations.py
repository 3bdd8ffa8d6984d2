"""Valid objects, each changed a little: most become wrong in a way that nobody thought of."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from audit_operator.api.kinds import KINDS
from audit_operator.api.schema import openapi_schema
from tests.api.objects import document, sample_documents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random


def _names(schema: dict[str, Any]) -> set[str]:
    names = set(schema.get("properties", {}))
    for child in (*schema.get("properties", {}).values(), *filter(None, [schema.get("items")])):
        names |= _names(child)
    return names


NAMES = sorted(set().union(*(_names(openapi_schema(kind)) for kind in KINDS)))
"""Every field name of every kind."""

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**40, 1.5, 3.0, "", " ", "*", "a", "A", "-a", "a-", "a.b", "a" * 64, "a" * 254,
    "\u00e4", "x\ny", "pods", "pods/log", "*/*", "a/b/c", "/x", "/x*", "/a*b", "1d", "90d", "1y", "2w", "0d", "30m",
    "Baseline", "Metadata", "None", "Request", "In", "Exists", "1.34", "ConfigMap", "Process", "Observe", "StaticPod",
    "apps", "apps/v1", "http://a", "https://a:1/b", "http://a@b", "/var/log/a", "/var/log/../a",
    [], {}, [""], ["*"], ["get"], ["a", "a"], [None], [{}], {"": ""}, {"a": "b"}, {"name": "a"}, {"a b": "c"},
)  # fmt: skip
"""Values that are right in one place and wrong in another."""

BASES = [
    *sample_documents(),
    document(
        "AuditPolicy",
        {
            "preset": "Baseline",
            "omitStages": ["RequestReceived"],
            "applicationLogs": {
                "podSelector": {
                    "matchLabels": {"a": "b"},
                    "matchExpressions": [{"key": "x/y", "operator": "In", "values": ["a"]}],
                },
                "files": [{"volume": "logs", "path": "a/*.log"}],
                "fields": {"time": "a.b"},
                "timeFormat": "UnixSeconds",
                "restartWorkloads": "Rolling",
            },
        },
    ),
    document(
        "ClusterAuditPolicy",
        {
            "rules": [
                {
                    "level": "Metadata",
                    "users": ["a"],
                    "userGroups": ["b"],
                    "verbs": ["get"],
                    "namespaces": ["", "a"],
                    "resources": [{"group": "*", "resources": ["pods/*"], "resourceNames": ["a"]}],
                    "omitStages": ["Panic"],
                },
                {"level": "None", "nonResourceURLs": ["/x*", "*"]},
            ],
            "limits": [{"level": "None", "resources": [{"resources": ["*/scale"]}]}],
        },
    ),
    document(
        "AuditControlPlane",
        {
            "driver": "StaticPod",
            "adopt": True,
            "kubernetesVersion": "1.34",
            "staticPod": {"nodeSelector": {"a": "b"}, "manifest": "x.yaml"},
            "log": {"path": "/var/log/a.log", "truncate": {"enabled": False, "maxEventSize": 2048}},
            "rollout": {"paused": True, "readyTimeout": "90s"},
            "coverage": {"catalogueRefs": [{"namespace": "a", "name": "b"}]},
            "probes": {"enabled": True, "exclude": ["a"]},
        },
    ),
    document(
        "ClusterAuditSink",
        {
            "type": "OpenSearch",
            "openSearch": {"url": "https://os:9200", "index": "audit"},
            "tls": {"caSecretRef": {"namespace": "a", "name": "b"}, "serverName": "os.example.com"},
        },
    ),
    document("AuditSink", {"type": "Loki", "loki": {"url": "https://o:3100", "tenant": "a"}}),
]


def every_place(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a value with each of its keys or indices."""
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(child, dict | list):
            yield from every_place(child)


def changed(rng: Random) -> dict[str, Any]:
    """A valid object with one change in its spec: a value replaced, added, removed or repeated."""
    result = copy.deepcopy(rng.choice(BASES))
    container, key = rng.choice(list(every_place(result["spec"])))
    value = copy.deepcopy(rng.choice(VALUES))
    if isinstance(container, list):
        if rng.random() < 0.5:
            container[key] = value
        else:
            container.append(copy.deepcopy(container[key]))
        return result
    match rng.choice(["replace", "replace", "add", "remove"]):
        case "replace":
            container[key] = value
        case "add":
            container[rng.choice(NAMES)] = value
        case _:
            del container[key]
    return result
