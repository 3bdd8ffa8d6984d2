"""What to write into the runtime overrides of a Loki, so that it keeps and deletes as is demanded by itself.

The operator cannot write there: it is a file of somebody else's, perhaps in a ConfigMap that is somebody else's, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from audit_operator.shipping.exporters import CLUSTER, NAMESPACE
from audit_operator.sinks.retention.loki_questions import batches
from audit_operator.sinks.retention.loki_rules import NEVER, SHORTEST, one_of
from audit_operator.sinks.retention.loki_settings import LABELS, LATER, UNSEEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.retention.classes import RetentionClass

_KEEPS, _DELETES = 1000, 1001
"""Priorities. Whatever of ours has no period of its own is kept, however short the tenant's is."""


def loki_overrides(tenant: str, classes: Iterable[RetentionClass], clusters: Iterable[str]) -> str:
    """As YAML. Rules that the tenant has already belong into the same list, below our priorities."""
    ours = one_of(sorted(clusters))
    rules = [rule for each in sorted(classes, key=lambda each: each.name) for rule in _rules(each, ours)]
    keep = _rule(_selector({CLUSTER: ours}), _KEEPS, NEVER)
    attributes = [{"action": "index_label", "attributes": sorted(LABELS)}]
    limits = {"otlp_config": {"log_attributes": attributes}, "retention_stream": [*rules, keep]}
    return yaml.safe_dump({"overrides": {tenant: limits}}, sort_keys=False, width=1_000_000)


def _rules(wanted: RetentionClass, clusters: str) -> Iterator[dict[str, Any]]:
    """A day shorter than the maximum, so that nothing is there beyond it; never shorter than the minimum."""
    demand = wanted.demand
    if demand.delete_after is None or demand.delete_after >= NEVER:
        return
    hours = max(demand.delete_after - LATER, demand.minimum, SHORTEST)
    # What cannot be read may have been promised more.
    names = [each for each in wanted.namespaces if each not in wanted.unclear]
    for batch in batches(each for each in names if each):
        for label in (NAMESPACE, UNSEEN):
            yield _rule(_selector({CLUSTER: clusters, label: one_of(batch)}), _DELETES, hours)
    if "" in names:
        yield _rule(_selector({CLUSTER: clusters, NAMESPACE: "", UNSEEN: ""}), _DELETES, hours)


def _selector(patterns: dict[str, str]) -> str:
    """Patterns of `one_of` in literals that people can read: they hold nothing but backslashes that must be escaped."""
    escaped = {label: pattern.replace("\\", "\\\\") for label, pattern in patterns.items()}
    return "{" + ", ".join(f'{label}=~"{pattern}"' for label, pattern in escaped.items()) + "}"


def _rule(selector: str, priority: int, hours: int) -> dict[str, Any]:
    return {"selector": selector, "priority": priority, "period": f"{hours}h"}
