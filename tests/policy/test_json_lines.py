"""The fixed form of requests and decisions for scripts."""

from __future__ import annotations

import pytest

from audit_operator.api.audit import Level, Stage
from audit_operator.api.findings import Finding, Severity
from audit_operator.policy.json_lines import decision_to_json, request_from_json
from audit_operator.policy.model import Decision, Request, User


def test_what_is_left_out_is_empty_or_false() -> None:
    assert request_from_json({"user": None}) == Request(None, "", resource_request=False)
    assert request_from_json({}) == Request(None, "", resource_request=False)


def test_every_key_is_read() -> None:
    data = {
        "user": {"name": "alice", "groups": ["dev"], "uid": "u-1"},
        "verb": "get",
        "path": "/x",
        "resourceRequest": True,
        "apiGroup": "apps",
        "apiVersion": "v1",
        "namespace": "shop",
        "resource": "deployments",
        "subresource": "scale",
        "name": "web",
    }
    assert request_from_json(data) == Request(
        User("alice", ("dev",), "u-1"), "get", True, "apps", "v1", "shop", "deployments", "scale", "web", "/x"
    )


def test_a_user_may_have_no_groups() -> None:
    for user in ({"name": "alice"}, {"name": "alice", "groups": None}, {"name": "alice", "groups": []}):
        assert request_from_json({"user": user}).user == User("alice")


@pytest.mark.parametrize(
    "data",
    [
        [],
        None,
        "get",
        {"verbs": "get"},
        {"verb": 5},
        {"path": None},
        {"resourceRequest": "true"},
        {"user": "alice"},
        {"user": {"username": "alice"}},
        {"user": {"name": 5}},
        {"user": {"groups": "dev"}},
        {"user": {"groups": [5]}},
    ],
)
def test_a_mistake_in_a_request_is_told(data: object) -> None:
    finding = request_from_json(data)
    assert isinstance(finding, Finding)
    assert (finding.id, finding.severity) == ("invalid-request", Severity.ERROR)


def test_a_decision_has_four_keys() -> None:
    stages = frozenset({Stage.RESPONSE_STARTED, Stage.PANIC})
    assert decision_to_json(Decision(Level.REQUEST, stages, True, 3)) == {
        "level": "Request",
        "omitStages": ["Panic", "ResponseStarted"],
        "omitManagedFields": True,
        "rule": 3,
    }
    assert decision_to_json(Decision(Level.NONE, frozenset(), False, None))["rule"] is None
