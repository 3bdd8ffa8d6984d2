"""Which requests a policy applies to: namespace selectors and scopes, resolved against the namespaces that exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.selector import selector_matches
from audit_operator.plan.snapshot import NAME_LABEL, NamespaceFact
from audit_operator.policy.contribution import Reach

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicySpec
    from audit_operator.plan.snapshot import Snapshot

# No namespace can have this name, so that it stands for all that nobody has seen: they have a name label, and no other.
_UNSEEN: Mapping[str, str] = {NAME_LABEL: "\0"}


def reach_of(spec: ClusterAuditPolicySpec, known: Iterable[NamespaceFact]) -> Reach:
    """The requests that a cluster policy applies to. The selector never filters requests without a namespace."""
    namespaced = "Namespaced" in spec.scopes
    picked = (each.name for each in known if selector_matches(spec.namespace_selector, each.labels))
    return Reach(
        namespaces=frozenset(picked) if namespaced else frozenset(),
        unseen_namespaces=namespaced and selector_matches(spec.namespace_selector, _UNSEEN),
        cluster="Cluster" in spec.scopes,
        non_resource="NonResource" in spec.scopes,
    )


def may_have_reached(spec: ClusterAuditPolicySpec, name: str) -> bool:
    """Whether a cluster policy may have applied to a namespace that is gone, so that only its name is known."""
    selector = spec.namespace_selector
    if selector is not None:
        # Whatever its other labels were, this one was its name.
        labels = {key: value for key, value in selector.match_labels.items() if key == NAME_LABEL}
        expressions = tuple(each for each in selector.match_expressions if each.key == NAME_LABEL)
        selector = selector.model_copy(update={"match_labels": labels, "match_expressions": expressions})
    return "Namespaced" in spec.scopes and selector_matches(selector, {NAME_LABEL: name})


def known_namespaces(snapshot: Snapshot) -> tuple[NamespaceFact, ...]:
    """Namespaces that exist, and those that an object names before they do: these have no label but their name."""
    labels = {each.name: {**each.labels, NAME_LABEL: each.name} for each in snapshot.namespaces}
    for name in _named(snapshot):
        labels.setdefault(name, {NAME_LABEL: name})
    return tuple(NamespaceFact(name, labels[name]) for name in sorted(labels))


def _named(snapshot: Snapshot) -> Iterator[str]:
    for policy in snapshot.audit_policies:
        yield policy.metadata.namespace
    for each in snapshot.cluster_audit_policies:
        for namespaces in (rule.namespaces for rule in each.spec.rules):
            yield from filter(None, namespaces)
        for namespaces in (limit.namespaces for limit in each.spec.limits):
            yield from filter(None, namespaces)
        selector = each.spec.namespace_selector
        if selector is not None:
            yield from filter(None, [selector.match_labels.get(NAME_LABEL)])
            for expression in selector.match_expressions:
                if expression.key == NAME_LABEL:
                    yield from expression.values
