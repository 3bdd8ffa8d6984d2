"""Loader, evaluator and attributes against labels that the API server's own code gave."""

from __future__ import annotations

import json
from typing import Any

import pytest

from audit_operator.policy.attributes import NoRequestError, request_from_event, request_from_http
from audit_operator.policy.compiled_evaluator import compile_evaluator
from audit_operator.policy.document import parse_document
from audit_operator.policy.evaluate import evaluate
from audit_operator.policy.gates import Version
from audit_operator.policy.json_lines import decision_to_json, request_from_json
from audit_operator.policy.loading import LoadResult, load_policy
from audit_operator.policy.model import Policy, Request
from tests.policy.conformance import comparable, normalize, policy_of, read_json, read_lines, text_of

CHECKER = read_json("checker_cases.json")
VALIDATION = read_json("validation_cases.json")
ORACLE = read_lines("oracle_cases.jsonl.gz")
ORACLE_TEXTS = read_lines("oracle_load_cases.jsonl.gz")
ADDED = {case["id"]: case for case in VALIDATION["added_not_upstream"]}


def by_id(cases: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(case, id=case["id"]) for case in cases]


def to_request(data: dict[str, Any]) -> Request:
    request = request_from_json(data)
    assert isinstance(request, Request), request
    return request


def decide(policy: Policy, request: Request) -> dict[str, Any]:
    decision = evaluate(policy, request)
    assert compile_evaluator(policy)(request) == decision
    return decision_to_json(decision)


@pytest.mark.parametrize("case", by_id(CHECKER["cases"]))
def test_upstreams_evaluator_table(case: dict[str, Any]) -> None:
    answer = decide(policy_of(case["policy"]), to_request(case["attributes"]))
    assert (answer["level"], answer["omitStages"]) == (
        case["expected"]["level"],
        sorted(case["expected"]["omitStages"]),
    )


@pytest.mark.parametrize("case", CHECKER["omit_managed_fields_cases"], ids=lambda case: case["name"])
def test_upstreams_table_for_managed_fields(case: dict[str, Any]) -> None:
    answer = decide(policy_of(case["policy"]), to_request(case["attributes"]))
    assert answer["omitManagedFields"] == case["expected"]["omitManagedFields"]


@pytest.mark.parametrize("case", CHECKER["union_stages_cases"], ids=lambda case: json.dumps(case["inputs"]))
def test_upstreams_table_for_the_union_of_stages(case: dict[str, Any]) -> None:
    if len(case["inputs"]) > 2:
        pytest.fail("a policy and a rule give two lists of stages")
    of_policy, of_rule = [*case["inputs"], [], []][:2]
    policy = policy_of(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": of_policy,
            "rules": [{"level": "None", "omitStages": of_rule}],
        }
    )
    answer = decide(policy, Request(None, "get", resource_request=False))
    assert answer["omitStages"] == sorted(case["expected_set"])


@pytest.mark.parametrize("case", by_id(VALIDATION["valid"]))
def test_what_upstream_calls_valid_is_valid(case: dict[str, Any]) -> None:
    result = load_policy(json.dumps(case["policy"]))
    expected = None if case.get("load_ok", True) else "no-rules"  # the loader wants a rule, the validation does not
    assert result.refused == expected, result.findings


@pytest.mark.parametrize("case", by_id(VALIDATION["invalid"]))
def test_what_upstream_calls_invalid_is_refused(case: dict[str, Any]) -> None:
    assert load_policy(json.dumps(case["policy"])).refused == "validation"


@pytest.mark.parametrize("case", by_id(VALIDATION["load"]))
def test_upstreams_loader_table(case: dict[str, Any]) -> None:
    result = load_policy(case["text"])
    assert (result.policy is not None) == case["ok"], result.findings
    assert result.lenient == case.get("warns", False)
    if "rules" in case:
        assert result.policy is not None
        assert len(result.policy.rules) == case["rules"]


@pytest.mark.parametrize(
    ("name", "kubernetes", "valid"),
    [
        ("group-star", Version(1, 36), True),
        ("group-star", Version(1, 35), False),
        ("group-leading-wildcard", Version(1, 37), False),
        ("upper-case-group", Version(1, 37), False),
        ("nonResource-star-only", Version(1, 29), True),
        ("nonResource-double-star", Version(1, 37), False),
        ("any-verb", Version(1, 29), True),
    ],
)
def test_what_depends_on_the_version(name: str, kubernetes: Version, *, valid: bool) -> None:
    result = load_policy(json.dumps(ADDED[name]["policy"]), kubernetes=kubernetes)
    assert (result.refused is None) == valid, result.findings


@pytest.mark.parametrize("case", by_id(ORACLE))
def test_random_policies_decide_as_the_api_server_does(case: dict[str, Any]) -> None:
    result = load_policy(case["policy"])
    assert result.refused == case.get("errorClass"), (case.get("loadError"), result.findings)
    if result.policy is None:
        return
    assert result.lenient == case.get("lenient", False), result.findings
    for request, expected in zip(case["requests"], case["results"], strict=True):
        answer = decide(result.policy, to_request(request))
        assert [answer["level"], answer["omitStages"], answer["omitManagedFields"]] == expected, request


@pytest.mark.parametrize("case", by_id(ORACLE_TEXTS))
def test_random_texts_load_as_in_the_api_server(case: dict[str, Any]) -> None:
    result = load_policy(text_of(case))
    assert result.refused == case.get("errorClass"), (case.get("loadError"), result.findings)
    assert result.lenient == case.get("lenient", False), result.findings
    compare_policies(result, case)


@pytest.mark.parametrize("case", read_lines("loader_cases.jsonl.gz"))
def test_random_texts_with_wrong_types_load_as_in_the_api_server(case: dict[str, Any]) -> None:
    result = load_policy(text_of(case))
    assert (result.policy is not None) == case["ok"], (case.get("error"), result.findings)
    assert result.lenient == case["lenient"], result.findings
    compare_policies(result, case)


def canonical(text: str) -> str:
    """Equal for equal JSON: Go and Python write large numbers differently."""
    return json.dumps(json.loads(text, parse_int=float), sort_keys=True)


def compare_policies(result: LoadResult, case: dict[str, Any]) -> None:
    if result.policy is not None:
        assert normalize(result.policy) == comparable(case["normalized"])
    assert (result.refused is None) == (result.policy is not None)
    assert all(finding.location.line for finding in result.findings if finding.id == "unknown-key")


def test_random_yaml_is_the_json_that_the_api_server_sees() -> None:
    cases = read_lines("yaml_cases.jsonl.gz")
    stricter = 0
    for case in cases:
        document = parse_document(text_of(case, "yaml"))
        if not document.readable and case["json"] is not None:
            stricter += 1
            continue
        assert document.readable == (case["json"] is not None), (case, document.problems)
        if document.readable:
            assert canonical(json.dumps(document.value)) == canonical(case["json"]), case
    assert stricter < len(cases) / 100


@pytest.mark.parametrize("case", read_lines("requestinfo_cases.jsonl.gz"))
def test_random_requests_have_the_attributes_that_the_api_server_gives_them(case: dict[str, Any]) -> None:
    path, _, query = case["uri"].partition("?")
    if "attributes" not in case:
        with pytest.raises(NoRequestError):
            request_from_http(case["method"], path, query)
        return
    expected = to_request(case["attributes"])
    assert request_from_http(case["method"], path, query) == expected
    event = {"verb": expected.verb, "requestURI": case["requestURI"], "user": {}}
    assert request_from_event(event) == expected
