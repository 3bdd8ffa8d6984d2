"""Selectors and scopes pick what they say."""

from __future__ import annotations

import pytest

from audit_operator.plan.selection import known_namespaces, reach_of
from audit_operator.plan.snapshot import NamespaceFact, Snapshot
from tests.plan.objects import audit_policy, cluster_policy

NAMESPACES = (NamespaceFact("payments", {"tier": "prod"}), NamespaceFact("lab", {"tier": "dev"}), NamespaceFact("bare"))
RULES = [{"level": "Metadata"}]


def picked(selector):
    policy = cluster_policy(rules=RULES, namespaceSelector=selector)
    reach = reach_of(policy.spec, known_namespaces(Snapshot(namespaces=NAMESPACES)))
    return sorted(reach.namespaces), reach.unseen_namespaces


@pytest.mark.parametrize(
    ("selector", "expected", "unseen"),
    [
        ({}, ["bare", "lab", "payments"], True),
        ({"matchLabels": {"tier": "prod"}}, ["payments"], False),
        (
            {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["dev", "prod"]}]},
            ["lab", "payments"],
            False,
        ),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["dev"]}]}, ["bare", "payments"], True),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, ["lab", "payments"], False),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, ["bare"], True),
        ({"matchLabels": {"kubernetes.io/metadata.name": "lab"}}, ["lab"], False),
    ],
)
def test_a_selector_picks_namespaces_by_their_labels(selector, expected, unseen):
    assert picked(selector) == (expected, unseen)


def test_a_selector_never_filters_requests_without_a_namespace():
    policy = cluster_policy(rules=RULES, namespaceSelector={"matchLabels": {"tier": "prod"}})
    reach = reach_of(policy.spec, ())
    assert (reach.cluster, reach.non_resource) == (True, True)


def test_scopes_leave_out_sorts_of_request():
    reach = reach_of(
        cluster_policy(rules=RULES, scopes=["Cluster"]).spec, known_namespaces(Snapshot(namespaces=NAMESPACES))
    )
    assert (reach.namespaces, reach.unseen_namespaces, reach.cluster, reach.non_resource) == (
        frozenset(),
        False,
        True,
        False,
    )


def test_namespaces_that_objects_name_are_known_before_they_exist():
    snapshot = Snapshot(
        audit_policies=(audit_policy("soon"),),
        cluster_audit_policies=(
            cluster_policy(
                rules=[{"level": "Metadata", "namespaces": ["ruled", ""]}],
                namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "selected"}},
            ),
        ),
    )
    assert [each.name for each in known_namespaces(snapshot)] == ["ruled", "selected", "soon"]
