"""What a real API server writes, and what the collector makes of it."""

from __future__ import annotations

import json
import random
from http import HTTPStatus

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.decision_list import NOTHING
from audit_operator.policy.model import Policy, Rule
from audit_operator.shipping.enforcement.classes import classify
from audit_operator.shipping.enforcement.table import build
from tests.integration.shipping.collector import ship
from tests.integration.test_composition import NAMESPACES, random_contributions, sent
from tests.policy.law import asked

EVERYTHING = """
apiVersion: audit.k8s.io/v1
kind: Policy
rules: [{level: RequestResponse}]
"""
KNOWN = frozenset(NAMESPACES)
REQUESTS = 200


def shipped(contributions, namespaces, events, tmp_path):
    """Stages and levels of what the collector ships, by audit id."""
    table = build(classify(contributions, namespaces))
    run = ship(table, [json.dumps(event).encode() for event in events], tmp_path)
    found = {}
    for record in run.records:
        assert json.loads(record.body)["level"] == record.attributes["level"]
        found.setdefault(record.attributes["auditID"], {})[record.attributes["stage"]] = record.attributes["level"]
    return found


def test_real_events_are_brought_down_to_what_policies_ask_for(control_plane, tmp_path):
    with control_plane.audit_policy(EVERYTHING):
        draw = random.Random(7)
        requests = {}
        for _ in range(REQUESTS):
            user, method, path, request = sent(draw)
            requests[control_plane.request(method, path, user=user).audit_id] = request
        events = [each for each in control_plane.audit_events() if each["auditID"] in requests]
    assert len({each["auditID"] for each in events}) == REQUESTS
    for seed in range(4):
        contributions = random_contributions(seed)
        (folder := tmp_path / str(seed)).mkdir()
        found = shipped(contributions, NAMESPACES, events, folder)
        for audit_id, request in requests.items():
            if request.namespace == "unseen":
                assert set(found[audit_id].values()) == {"RequestResponse"}
                continue
            exact, levels = asked(contributions, request, KNOWN), found.get(audit_id, {})
            if exact == NOTHING:
                assert levels == {}, (seed, request)
            else:
                assert set(levels.values()) == {str(exact.level)}, (seed, request)
                assert ("RequestReceived" in levels) == (Stage.REQUEST_RECEIVED not in exact.omit_stages)


def test_a_namespace_in_the_body_of_a_cluster_scoped_object_hides_nothing(control_plane, tmp_path):
    """The API server shows it in objectRef.namespace although it creates the object without one."""
    role = {"metadata": {"name": "sly", "namespace": "quiet"}, "rules": []}
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    with control_plane.audit_policy(EVERYTHING):
        response = control_plane.request("POST", path, role)
        events = control_plane.audit_events(response.audit_id)
        control_plane.request("DELETE", f"{path}/sly")
    assert response.status == HTTPStatus.CREATED
    assert "namespace" not in response.json()["metadata"]
    assert events[-1]["objectRef"]["namespace"] == "quiet"
    policies = [
        Contribution(Reach(frozenset({"quiet"})), Policy((Rule(Level.NONE),))),
        Contribution(Reach(cluster=True), Policy((Rule(Level.METADATA),))),
    ]
    assert set(shipped(policies, ["quiet"], events, tmp_path)[response.audit_id].values()) == {"Metadata"}
