"""The kinds on a real API server: what it accepts, refuses, explains, defaults, merges and shows."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from audit_operator.api.audit import Level
from audit_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from audit_operator.api.control_plane import ApiServer, AuditControlPlaneStatus
from audit_operator.api.kinds import KINDS
from audit_operator.api.observations import ApiServerState
from audit_operator.api.parsing import parse_object, to_json
from audit_operator.api.policy_status import (
    ActionFinding,
    AuditPolicyStatus,
    Coverage,
    CoverageBasis,
    NotAuditable,
    Verdict,
)
from audit_operator.api.resource import API_VERSION, GROUP, VERSION
from tests.api.mutations import changed
from tests.api.objects import SAMPLES, WrongObject, document, sample_documents, wrong_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.control_plane import Response, RunningControlPlane

pytestmark = pytest.mark.usefixtures("crds")

NOW = "2026-11-24T15:00:00Z"


def path_of(kind: str, namespace: str = "default", name: str = "", subresource: str = "") -> str:
    info = KINDS[kind].info
    parts = [f"/apis/{GROUP}/{VERSION}", *(["namespaces", namespace] if info.namespaced else []), info.plural]
    return "/".join([*parts, *filter(None, [name, subresource])])


def create(control_plane: RunningControlPlane, value: dict[str, Any], *, dry_run: bool = False) -> Response:
    query = "?fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
    namespace = value["metadata"].get("namespace", "")
    return control_plane.request("POST", path_of(value["kind"], namespace) + query, value)


@pytest.mark.parametrize("wrong", wrong_objects(), ids=str)
def test_a_wrong_object_is_refused_at_the_field_that_is_wrong(
    control_plane: RunningControlPlane, wrong: WrongObject
) -> None:
    answer = create(control_plane, wrong.document, dry_run=True)
    assert answer.status in (400, 422)
    said = answer.json()
    causes = [cause.get("field", "") for cause in said.get("details", {}).get("causes", ())]
    assert wrong.path in causes or f'unknown field "{wrong.path}"' in said["message"], said["message"]


@pytest.mark.parametrize("sample", sample_documents(), ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_a_sample_is_accepted_and_reads_back(
    control_plane: RunningControlPlane, namespace: str, sample: dict[str, Any]
) -> None:
    if "namespace" in sample["metadata"]:
        sample = sample | {"metadata": sample["metadata"] | {"namespace": namespace}}
    answer = create(control_plane, sample, dry_run=True)
    assert answer.status == 201, answer.body
    stored, written = parse_object(answer.json()), parse_object(sample)
    assert not isinstance(stored, tuple)
    assert not isinstance(written, tuple)
    assert stored.spec == written.spec


def test_the_samples_apply_as_they_are(private_control_plane: Callable[..., RunningControlPlane]) -> None:
    from tests.integration.conftest import install_crds  # noqa: PLC0415 - conftest is imported by pytest first

    mine = private_control_plane()
    install_crds(mine)
    mine.kubectl("apply", "-f", str(SAMPLES))
    mine.kubectl("apply", "--dry-run=server", "-f", str(SAMPLES))
    shown = mine.kubectl("get", "audit", "--all-namespaces", "--output=name").stdout
    for sample in sample_documents():
        assert f"{sample['kind'].lower()}.{GROUP}/{sample['metadata']['name']}" in shown


@pytest.mark.parametrize("kind", KINDS)
def test_kubectl_explains_every_field(control_plane: RunningControlPlane, kind: str) -> None:
    schemas = control_plane.get(f"/openapi/v3/apis/{GROUP}/{VERSION}")["components"]["schemas"]
    schema = schemas[f"dev.audit-operator.v1alpha1.{kind}"]
    assert list(undescribed(schema["properties"]["spec"])) == []
    assert list(undescribed(schema["properties"]["status"])) == []
    explained = control_plane.kubectl("explain", KINDS[kind].info.plural, "--recursive").stdout
    assert "conditions" in explained
    assert schema["description"][:40] in explained


def undescribed(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, child in schema.get("properties", {}).items():
        if not child.get("description"):
            yield f"{path}.{name}"
        yield from undescribed(child, f"{path}.{name}")
        yield from undescribed(child.get("items", {}), f"{path}.{name}[]")


def test_kubectl_explains_a_rule(control_plane: RunningControlPlane) -> None:
    text = control_plane.kubectl("explain", "clusterauditpolicy.spec.rules.resources.resources").stdout
    assert "'pods/log' one subresource" in " ".join(text.split())


def test_defaults_appear(control_plane: RunningControlPlane) -> None:
    policy = create(control_plane, document("ClusterAuditPolicy", {"preset": "Baseline"}), dry_run=True).json()
    assert policy["spec"] == {
        "preset": "Baseline",
        "scopes": ["Namespaced", "Cluster", "NonResource"],
        "omitManagedFields": False,
    }
    plane = create(
        control_plane, document("AuditControlPlane", {"driver": "StaticPod", "log": {}}), dry_run=True
    ).json()
    assert plane["spec"] == {
        "driver": "StaticPod",
        "default": False,
        "adopt": False,
        "precision": "Exact",
        "log": {"maxAge": 30, "maxBackup": 10, "maxSize": 100, "mode": "Blocking"},
    }


@pytest.mark.parametrize("value", [None, [], {}], ids=["null", "empty list", "empty object"])
@pytest.mark.parametrize(
    "field", ["rules", "sinkRefs", "retention", "controlPlaneRef", "omitManagedFields", "redaction"]
)
def test_api_server_and_models_agree_on_what_is_empty(
    control_plane: RunningControlPlane, field: str, value: Any
) -> None:
    candidate = document("AuditPolicy", {"preset": "Baseline", field: value})
    accepted = create(control_plane, candidate, dry_run=True).status == 201
    assert accepted == (not isinstance(parse_object(candidate), tuple))


@pytest.mark.parametrize("seed", range(20))
def test_api_server_and_models_agree_about_objects_with_one_change(
    control_plane: RunningControlPlane, namespace: str, seed: int
) -> None:
    rng = Random(seed)
    for _ in range(25):
        candidate = changed(rng)
        if "namespace" in candidate["metadata"]:
            candidate["metadata"]["namespace"] = namespace
        answer, item = create(control_plane, candidate, dry_run=True), parse_object(candidate)
        assert answer.status in (201, 400, 422), answer.body
        assert (answer.status == 201) == (not isinstance(item, tuple)), (candidate["spec"], answer.json(), item)
        if not isinstance(item, tuple):
            stored = parse_object(answer.json())
            assert not isinstance(stored, tuple)
            assert stored.spec == item.spec


def test_two_appliers_share_a_list_of_sinks(control_plane: RunningControlPlane, namespace: str) -> None:
    for manager in ("platform", "tenant"):
        spec = {"preset": "Baseline", "sinkRefs": [{"kind": "AuditSink", "name": manager}]}
        control_plane.kubectl(
            "apply", "--server-side", f"--field-manager={manager}", "-f", "-",
            stdin=json.dumps(document("AuditPolicy", spec, "shared", namespace)),
        )  # fmt: skip
    stored = control_plane.get(path_of("AuditPolicy", namespace, "shared"))
    assert [sink["name"] for sink in stored["spec"]["sinkRefs"]] == ["platform", "tenant"]


def apply_status(control_plane: RunningControlPlane, value: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    metadata = value["metadata"]
    where = path_of(value["kind"], metadata.get("namespace", ""), metadata["name"], "status")
    answer = control_plane.request(
        "PATCH",
        f"{where}?fieldManager=audit-operator&force=true&fieldValidation=Strict",
        {"apiVersion": API_VERSION, "kind": value["kind"], "metadata": metadata, "status": status},
        headers={"Content-Type": "application/apply-patch+yaml"},
    )
    assert answer.status == 200, answer.body
    applied: dict[str, Any] = answer.json()
    return applied


def condition(type_: ConditionType, status: ConditionStatus, reason: Reason, message: str = "") -> Condition:
    return Condition(
        type=type_, status=status, reason=reason, message=message, observed_generation=1, last_transition_time=NOW
    )


POLICY_STATUS = AuditPolicyStatus(
    observed_generation=1,
    conditions=(
        condition(ConditionType.ACCEPTED, ConditionStatus.TRUE, Reason.ACCEPTED),
        condition(ConditionType.PROGRAMMED, ConditionStatus.FALSE, Reason.PENDING, "1 of 3 run it"),
        condition(ConditionType.RETENTION_ENFORCED, ConditionStatus.UNKNOWN, Reason.NOT_IMPLEMENTED),
        condition(ConditionType.READY, ConditionStatus.FALSE, Reason.PENDING, "1 of 3 run it"),
    ),
    coverage=Coverage(
        score="36/38",
        covered=36,
        partial=1,
        gaps=1,
        leaks=0,
        total=38,
        verified=0,
        digest="ab" * 32,
        basis=CoverageBasis.RUNNING,
        findings=(
            ActionFinding(action="pod-exec", verdict=Verdict.GAP, level=Level.NONE, wanted=Level.METADATA, reason="x"),
        ),
        not_auditable=(NotAuditable(id="kubelet-direct", title="Direct calls to the kubelet"),),
    ),
)


def test_status_is_written_apart_from_the_spec_and_shown(control_plane: RunningControlPlane, namespace: str) -> None:
    policy = document("AuditPolicy", {"preset": "Baseline"}, "pci", namespace)
    created = create(control_plane, policy)
    assert created.status == 201
    assert "status" not in created.json()
    applied = apply_status(control_plane, policy, to_json(POLICY_STATUS))
    assert applied["metadata"]["generation"] == 1
    item = parse_object(applied)
    assert not isinstance(item, tuple)
    assert item.status == POLICY_STATUS
    table = control_plane.kubectl("get", "aup", f"--namespace={namespace}").stdout.splitlines()
    assert table[0].split() == ["NAME", "COVERAGE", "GAPS", "LEAKS", "VERIFIED", "RETENTION", "READY", "AGE"]
    assert table[1].split()[:7] == ["pci", "36/38", "1", "0", "0", "NotImplemented", "False"]
    wide = control_plane.kubectl("get", "aup", f"--namespace={namespace}", "--output=wide").stdout
    assert "1 of 3 run it" in wide


def test_equal_status_is_not_written_again(control_plane: RunningControlPlane, namespace: str) -> None:
    policy = document("AuditPolicy", {"preset": "Baseline"}, "same", namespace)
    create(control_plane, policy)
    once, again = (apply_status(control_plane, policy, to_json(POLICY_STATUS)) for _ in range(2))
    assert once["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]


def test_a_word_of_a_newer_operator_is_taken_into_status(control_plane: RunningControlPlane, namespace: str) -> None:
    policy = document("AuditPolicy", {"preset": "Baseline"}, "newer", namespace)
    create(control_plane, policy)
    newer = {"type": "Ready", "status": "True", "reason": "BetterThanReady", "message": "", "lastTransitionTime": NOW}
    applied = apply_status(control_plane, policy, {"conditions": [newer]})
    item = parse_object(applied)
    assert not isinstance(item, tuple)
    assert item.status is None


def test_a_control_plane_shows_what_its_api_servers_run(control_plane: RunningControlPlane) -> None:
    plane = document("AuditControlPlane", {"driver": "Process"}, "shown")
    create(control_plane, plane)
    server = ApiServer(name="local", running_digest="cd" * 32, ready=True, state=ApiServerState.RUNNING, since=NOW)
    status = AuditControlPlaneStatus(
        conditions=(condition(ConditionType.READY, ConditionStatus.TRUE, Reason.READY),),
        digest="cd" * 32,
        short_digest="cdcdcdcdcdcd",
        progress="1/1",
        rules=17,
        bytes=2048,
        policies=2,
        api_servers=(server,),
    )
    try:
        apply_status(control_plane, plane, to_json(status))
        table = control_plane.kubectl("get", "acp", "shown").stdout.splitlines()
        assert table[0].split() == ["NAME", "DRIVER", "PRECISION", "PROGRESS", "DIGEST", "READY", "AGE"]
        assert table[1].split()[:6] == ["shown", "Process", "Exact", "1/1", "cdcdcdcdcdcd", "True"]
    finally:
        control_plane.kubectl("delete", "acp", "shown")


def test_every_word_of_the_models_fits_into_status(control_plane: RunningControlPlane, namespace: str) -> None:
    policy = document("AuditPolicy", {"preset": "Baseline"}, "words", namespace)
    create(control_plane, policy)
    for reason in Reason:
        conditions = [condition(ConditionType.READY, ConditionStatus.UNKNOWN, reason, reason.meaning)]
        apply_status(control_plane, policy, {"conditions": [to_json(each) for each in conditions]})
