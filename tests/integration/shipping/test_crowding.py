"""One namespace takes all room of a condition that another asks for as well: the other is told nevertheless."""

from __future__ import annotations

import time

import pytest

from tests.integration.alerting import TO_CENTRAL, USERS, alerting
from tests.integration.operator_process import eventually, thing

ROOM = 100
"""Series: the fewest that a condition has."""
THRESHOLD = 20
AGENTS = {
    "name": "agents",
    "selection": {"statusCodes": [403], "users": ["mallory"]},
    "threshold": THRESHOLD,
    "window": "10m",
    "groupBy": ["UserAgent"],
}


def policy(namespace):
    spec = {"preset": "Metadata", "sinkRefs": TO_CENTRAL, "detections": [AGENTS]}
    return thing("AuditPolicy", "agents", spec, namespace)


@pytest.fixture
def cluster(private_control_plane, tmp_path):
    policies = (policy("noisy"), policy("victim"), policy("quiet"))
    made = private_control_plane(users=USERS)
    with alerting(made, tmp_path, scrape="5s", policies=policies, detection_series=str(2 * ROOM)) as found:
        yield found


def refused(cluster, namespace, *agents):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    for each in agents:
        assert cluster.request("GET", path, user="mallory", headers={"User-Agent": each}) == 403


def alerts(cluster, namespace):
    """Labels that say whose events they were, of each alert of a namespace."""
    theirs = [each["labels"] for each in cluster.told() if each["labels"].get("policy_namespace") == namespace]
    return [(each.get("user_agent"), each.get("told_apart")) for each in theirs if each["detection_name"] == "agents"]


def findings(cluster, namespace):
    path = f"/apis/audit-operator.dev/v1alpha1/namespaces/{namespace}/auditpolicies/agents"
    found = cluster.control_plane.get(path).get("status", {}).get("composition", {}).get("findings", [])
    return [each["path"] for each in found if each["id"] == "detection-crowded"]


def test_who_takes_all_room_blinds_nobody_and_is_seen(cluster):
    cluster.until_it_ships()
    cluster.take_rules()
    # Prometheus has looked at the shipper, and counts what is new from here on.
    time.sleep(15)
    refused(cluster, "noisy", *(f"agent-{number}" for number in range(ROOM)))
    time.sleep(2)
    refused(cluster, "victim", *["curl"] * THRESHOLD)
    refused(cluster, "quiet", *["curl"] * (THRESHOLD - 1))
    eventually(lambda: alerts(cluster, "victim") == [(None, "no")], "the victim to be told of what had no room")
    assert alerts(cluster, "noisy") == []  # it has done nothing often enough, and all of it was told apart
    eventually(lambda: findings(cluster, "victim") == ["spec.detections[0]"], "the victim's policy to say so")
    eventually(lambda: findings(cluster, "quiet") == ["spec.detections[0]"], "the third policy to say so")
    assert findings(cluster, "noisy") == []
    refused(cluster, "noisy", *(f"more-{number}" for number in range(THRESHOLD)))
    eventually(lambda: alerts(cluster, "noisy") == [(None, "no")], "whoever makes so many series to be seen")
    assert alerts(cluster, "quiet") == []
