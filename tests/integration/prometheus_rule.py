"""The kind PrometheusRule, as API servers of tests serve it."""

from __future__ import annotations

# As strict as that of the Prometheus operator about what rules hold, and as loose about how they are merged.
RULE = {
    "type": "object",
    "required": ["expr"],
    "properties": {
        **{name: {"type": "string"} for name in ("alert", "expr", "for", "record", "keep_firing_for")},
        **{name: {"type": "object", "additionalProperties": {"type": "string"}} for name in ("labels", "annotations")},
    },
}
GROUP = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "limit": {"type": "integer"},
        "interval": {"type": "string", "pattern": "^[0-9]+(ms|[smhdwy])$"},
        "rules": {"type": "array", "items": RULE},
    },
}
GROUPS = {"type": "array", "items": GROUP, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
SCHEMA = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"groups": GROUPS}}}}
NAMES = {"kind": "PrometheusRule", "listKind": "PrometheusRuleList", "plural": "prometheusrules"}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "prometheusrules.monitoring.coreos.com"},
    "spec": {
        "group": "monitoring.coreos.com",
        "names": NAMES,
        "scope": "Namespaced",
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}}],
    },
}
