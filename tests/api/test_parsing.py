from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.api.audit_policy import AuditPolicy
from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy, RequestScope
from audit_operator.api.kinds import KINDS
from audit_operator.api.parsing import MAX_FINDINGS, parse_object, to_json
from audit_operator.api.resource import API_VERSION
from tests.api.mutations import NAMES, every_place
from tests.api.objects import document, sample_documents, wrong_objects
from tests.examples import examples

if TYPE_CHECKING:
    from audit_operator.api.findings import Finding

BASELINE = {"preset": "Baseline"}


def findings_of(value: Any) -> tuple[Finding, ...]:
    result = parse_object(value)
    assert isinstance(result, tuple)
    assert result
    return result


def only(value: Any) -> Finding:
    (finding,) = findings_of(value)
    return finding


# What a finding says


@pytest.mark.parametrize(
    ("spec", "mend"),
    [
        ({"rules": [{"level": "Metadata", "verb": ["get"]}]}, "did you mean verbs?"),
        ({"rules": [{"level": "Metadata", "usergroups": ["a"]}]}, "did you mean userGroups?"),
        ({"rules": [{"level": "Metadata", "user_groups": ["a"]}]}, "did you mean userGroups?"),
        ({"rules": [{"level": "Metadata", "namespaces": ["a"]}]}, "only ClusterAuditPolicy has it"),
        (
            {"rules": [{"level": "Metadata", "resources": [{"group": "", "verbs": ["get"]}]}]},
            "it belongs to spec.rules[0], not here",
        ),
        ({"preset": "baseline"}, "did you mean Baseline?"),
        ({"preset": "Nothing alike"}, "write one of Metadata, Baseline, WriteBodies, Forensic"),
    ],
)
def test_a_finding_says_how_to_mend_it(spec: dict[str, Any], mend: str) -> None:
    assert only(document("AuditPolicy", spec)).mend == mend


def test_a_finding_names_object_path_value_and_rule() -> None:
    spec = {"rules": [{"level": "Metadata"}, {"level": "Metadata", "verbs": ["get", "GET"]}]}
    finding = only(document("AuditPolicy", spec, "pci", "payments"))
    assert str(finding.object) == "AuditPolicy payments/pci"
    assert finding.path == "spec.rules[1].verbs[1]"
    assert finding.rule == 1
    assert "'GET'" in finding.message


def test_all_mistakes_are_reported_at_once() -> None:
    spec = {"presets": "Baseline", "rules": [{"level": "Metadata", "verb": []}, {"verbs": ["*"]}]}
    paths = {finding.path for finding in findings_of(document("AuditPolicy", spec))}
    assert paths == {"spec.presets", "spec.rules[0].verb", "spec.rules[1].level", "spec.rules[1].verbs[0]"}


def test_an_object_with_very_many_mistakes_gets_few_findings() -> None:
    findings = findings_of(document("AuditPolicy", {"rules": [{"level": "no", "verbs": ["*"] * 100}] * 64}))
    assert len(findings) == MAX_FINDINGS + 1
    assert "more errors are not shown" in findings[-1].message


@pytest.mark.parametrize("value", ["\x1b[31mred\x1b[0m", "a\nb", "\u202eevil", "x" * 10_000])
def test_a_users_text_stays_short_and_on_one_line(value: str) -> None:
    message = only(document("AuditPolicy", BASELINE | {"preset": value})).message
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 200


# What the object is


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"kind": "AuditPolicies"}, "kind"),
        ({"kind": None}, "kind"),
        ({"kind": ["AuditPolicy"]}, "kind"),
        ({"apiVersion": "audit-operator.dev/v1"}, "apiVersion"),
        ({"apiVersion": "audit.k8s.io/v1"}, "apiVersion"),
        ({"apiVersion": 1}, "apiVersion"),
        ({"metadata": {"name": "a"}}, "metadata.namespace"),
        ({"metadata": {"name": "a", "namespace": ""}}, "metadata.namespace"),
        ({"metadata": {"name": "a", "namespace": "kube system"}}, "metadata.namespace"),
        ({"metadata": {"namespace": "a"}}, "metadata.name"),
        ({"metadata": {"name": "A", "namespace": "a"}}, "metadata.name"),
        ({"metadata": {"name": "a", "namepsace": "b", "namespace": "c"}}, "metadata.namepsace"),
        ({"metadata": "a"}, "metadata"),
        ({"metadata": {"name": "a", "namespace": "b", "labels": {"c": 1}}}, "metadata.labels.c"),
        ({"spec": None}, "spec"),
        ({"specs": {}}, "specs"),
    ],
)
def test_the_envelope_is_checked_too(change: dict[str, Any], path: str) -> None:
    assert path in [finding.path for finding in findings_of(document("AuditPolicy", BASELINE) | change)]


def test_a_cluster_scoped_object_has_no_namespace() -> None:
    value = document("ClusterAuditPolicy", BASELINE) | {"metadata": {"name": "a", "namespace": "b"}}
    assert only(value).path == "metadata.namespace"


@pytest.mark.parametrize("value", [None, [], "text", 7, b"bytes"])
def test_what_is_no_object_at_all_is_a_finding(value: Any) -> None:
    assert only(value).id == "not-an-object"


def test_metadata_that_kubernetes_may_add_is_let_through() -> None:
    value = document("AuditPolicy", BASELINE)
    value["metadata"] |= {"managedFields": [{"manager": "x"}], "selfLink": "/x", "somethingNew": {"a": 1}}
    assert isinstance(parse_object(value), AuditPolicy)


# What counts as absent


def test_null_counts_as_absent() -> None:
    spec = {"preset": "Baseline", "rules": None, "retention": None, "sinkRefs": None, "omitManagedFields": None}
    policy = parse_object(document("AuditPolicy", spec))
    assert policy == parse_object(document("AuditPolicy", BASELINE))


def test_a_whole_number_may_be_written_as_a_fraction() -> None:
    plane = parse_object(document("AuditControlPlane", {"driver": "StaticPod", "log": {"maxAge": 30.0}}))
    assert plane == parse_object(document("AuditControlPlane", {"driver": "StaticPod", "log": {"maxAge": 30}}))


def test_a_status_that_cannot_be_read_is_dropped() -> None:
    value = document("AuditPolicy", BASELINE) | {"status": {"fromAnotherRelease": 1}}
    policy = parse_object(value)
    assert isinstance(policy, AuditPolicy)
    assert policy.status is None


def test_a_status_does_not_hide_what_is_wrong_with_the_spec() -> None:
    value = document("AuditPolicy", {"presets": "Baseline"}) | {"status": {"fromAnotherRelease": 1}}
    assert {finding.path for finding in findings_of(value)} == {"spec.presets"}


def test_defaults_are_those_of_the_schema() -> None:
    policy = parse_object(document("ClusterAuditPolicy", BASELINE))
    assert isinstance(policy, ClusterAuditPolicy)
    assert policy.spec.scopes == tuple(RequestScope)
    assert policy.spec.omit_managed_fields is False
    assert policy.spec.namespace_selector is None


# What YAML can hold and JSON cannot


@pytest.mark.parametrize(
    "value",
    [dt.date(2026, 1, 1), b"bytes", float("nan"), float("inf"), 10**5000, {1, 2}, "\udc80", object()],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_json_does_not_know_is_a_finding_at_its_place(value: Any) -> None:
    finding = only(document("AuditPolicy", {"rules": [{"level": "Metadata", "users": [value]}]}))
    assert (finding.id, finding.path) == ("not-json", "spec.rules[0].users[0]")


@pytest.mark.parametrize("key", [1, None, True, ("a",), "\ud800"])
def test_a_key_that_is_no_text_is_a_finding(key: Any) -> None:
    assert only(document("AuditPolicy", {"preset": "Baseline", key: 1})).path == "spec"


def test_endless_nesting_is_a_finding() -> None:
    spec: dict[str, Any] = {}
    spec["rules"] = spec
    assert only(document("AuditPolicy", spec)).id == "not-json"


def test_a_great_many_references_to_one_list_do_not_blow_up() -> None:
    level: list[Any] = ["x"] * 10
    for _ in range(20):
        level = [level] * 10
    assert findings_of(document("AuditPolicy", {"rules": level}))


# Laws

JSON_LIKE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.dates()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=12,
)


# Keys that occur, so that the search gets past the first unknown one.
KNOWN_KEYS = st.recursive(
    JSON_LIKE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=20,
)


@given(st.sampled_from(sorted(KINDS)), KNOWN_KEYS, KNOWN_KEYS)
def test_nothing_makes_it_raise(kind: str, spec: Any, status: Any) -> None:
    result = parse_object(document(kind, spec) | {"status": status})
    assert result
    if not isinstance(result, tuple):
        json.dumps(to_json(result))


@given(JSON_LIKE)
def test_no_document_makes_it_raise(value: Any) -> None:
    assert parse_object(value)


@given(st.dictionaries(st.sampled_from(["apiVersion", "kind", "metadata", "spec"]), JSON_LIKE))
def test_no_envelope_makes_it_raise(value: dict[str, Any]) -> None:
    assert parse_object({"apiVersion": API_VERSION, "kind": "AuditPolicy"} | value)


VALID = [*sample_documents(), *(document(kind, spec) for kind, spec in [("AuditPolicy", BASELINE)])]


@given(st.sampled_from(VALID), st.data())
@settings(max_examples=examples(200))
def test_one_wrong_value_anywhere_never_makes_it_raise(valid: dict[str, Any], data: st.DataObject) -> None:
    changed = json.loads(json.dumps(valid))
    container, key = data.draw(st.sampled_from(list(every_place(changed))))
    container[key] = data.draw(JSON_LIKE)
    assert parse_object(changed)


@pytest.mark.parametrize("value", VALID, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_what_is_written_reads_back_as_the_same_object(value: dict[str, Any]) -> None:
    item = parse_object(value)
    assert not isinstance(item, tuple)
    written = to_json(item)
    assert parse_object(written) == item
    assert to_json(item) == written


def test_the_table_of_wrong_objects_is_not_refused_for_its_envelope() -> None:
    for wrong in wrong_objects():
        assert not any(finding.path.startswith(("metadata", "kind")) for finding in findings_of(wrong.document))
