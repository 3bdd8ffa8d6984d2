from __future__ import annotations

import json

import pytest

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.expectations import Expectations, check, load_expectations
from audit_operator.policy.model import GroupResources, Policy, Rule

SECRETS = "GET /api/v1/namespaces/web/secrets/x"
POLICY = Policy(
    (
        Rule(Level.METADATA, resources=(GroupResources("", ("secrets",)),), user_groups=("dev",)),
        Rule(Level.NONE, non_resource_urls=("/healthz",)),
        Rule(Level.REQUEST, omit_stages=frozenset({Stage.REQUEST_RECEIVED}), omit_managed_fields=True),
    )
)


def loaded(*cases, **more):
    document = {"apiVersion": "test.audit-operator.dev/v1alpha1", "kind": "AuditPolicyTest", "cases": list(cases)}
    return load_expectations(json.dumps(document | more), file="t.yaml")


def problems(**expected):
    case = {"name": "it", "user": {"name": "alice", "groups": ["dev"]}, "requests": [SECRETS], **expected}
    case = {key: value for key, value in case.items() if value is not None}
    expectations = loaded(case)
    assert isinstance(expectations, Expectations), expectations
    return [problem for outcome in check(POLICY, expectations) for problem in outcome.problems]


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"level": "Metadata"}, []),
        ({"level": "Request"}, ["recorded at Metadata, expected is Request"]),
        ({"atLeast": "Metadata", "atMost": "Metadata"}, []),
        ({"atLeast": "Request"}, ["recorded at Metadata, expected is at least Request"]),
        ({"atMost": "None"}, ["recorded at Metadata, expected is at most None"]),
        ({"stages": ["ResponseComplete"], "withoutStages": ["Panic"]}, ["an event at Panic"]),
        (
            {"user": None, "level": "Request", "stages": ["RequestReceived"]},
            [
                "a failed authentication has no event at RequestReceived, whatever the policy says",
                "no event at RequestReceived",
            ],
        ),
        ({"user": None, "level": "Request", "stages": ["ResponseStarted"]}, []),
        ({"user": None, "managedFields": True}, ["recorded without managedFields"]),
        ({"user": None, "managedFields": False, "withoutStages": ["RequestReceived"]}, []),
        ({"requests": ["GET /healthz"], "level": "None"}, []),
        ({"requests": ["GET /healthz"], "stages": ["Panic"]}, ["not recorded at all, expected are events at Panic"]),
        (
            {"requests": [SECRETS, "GET /api/v1/pods?watch=true"], "level": "Metadata"},
            ["recorded at Request, expected is Metadata"],
        ),
        (
            {"requests": ["GET /api/v1/%zz"], "level": "None"},
            ["broken percent-encoding in '/api/v1/%zz': the API server answers 400 and audits nothing"],
        ),
    ],
)
def test_what_is_not_as_expected_is_said(expected, said):
    assert problems(**expected) == said


def test_a_failed_authentication_whose_only_stage_is_omitted_is_not_recorded():
    policy = Policy((Rule(Level.METADATA),), omit_stages=frozenset({Stage.RESPONSE_STARTED}))
    expectations = loaded({"name": "401", "requests": [SECRETS], "atLeast": "Metadata"})
    assert isinstance(expectations, Expectations)
    [outcome] = check(policy, expectations)
    assert outcome.problems == ("recorded at None, expected is at least Metadata",)


def test_each_request_has_an_outcome_with_what_decided():
    expectations = loaded({"name": "it", "requests": [SECRETS, "GET /healthz"], "atLeast": "None"})
    assert isinstance(expectations, Expectations)
    assert [each.explanation and each.explanation.decision.rule for each in check(POLICY, expectations)] == [2, 1]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"name": "it", "requests": [SECRETS]}, "nothing is expected"),
        ({"name": "it", "requests": ["/api/v1/pods"], "level": "None"}, "a request is a method and a URL"),
        ({"name": "it", "requests": ["GET pods"], "level": "None"}, "a request is a method and a URL"),
        ({"name": "it", "requests": [], "level": "None"}, "at least 1 item"),
        ({"name": "it", "requests": [SECRETS], "level": "None", "atMost": "None"}, "write level, or else"),
        ({"name": "it", "requests": [SECRETS], "levle": "None"}, "cases[0].levle is an unknown key"),
        ({"requests": [SECRETS], "level": "None"}, "cases[0].name is required"),
    ],
)
def test_expectations_that_make_no_sense_are_findings_with_the_place(case, said):
    findings = loaded(case)
    assert isinstance(findings, tuple)
    assert any(said in each.message for each in findings)
    assert all(each.location.file == "t.yaml" for each in findings)


def test_the_kind_must_be_said():
    assert isinstance(load_expectations("cases: []"), tuple)
