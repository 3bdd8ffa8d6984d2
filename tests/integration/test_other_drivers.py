"""Drivers for API servers that the operator does not restart itself, on a real API server."""

from __future__ import annotations

import pytest
import yaml

from audit_operator.api.observations import policy_digest
from audit_operator.controlplane.fragments import Platform
from tests.integration.conftest import prepare_for_operator
from tests.integration.control_plane import ClusterUser
from tests.integration.operator_process import NAMESPACE, USER, OperatorProcess, eventually, thing

THEIRS = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
FILES = f"/api/v1/namespaces/{NAMESPACE}/configmaps"


@pytest.fixture
def operator(private_control_plane):
    control_plane = private_control_plane(users=(ClusterUser(USER),))
    prepare_for_operator(control_plane, "payments")
    operator = OperatorProcess(control_plane)
    yield operator
    operator.stop_all()


def theirs(text: str) -> dict:
    metadata = {"name": "theirs", "namespace": NAMESPACE, "labels": {"audit-operator.dev/input": ""}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"policy.yaml": text}}


def observe(**section) -> dict:
    return thing("AuditControlPlane", "main", {"default": True, "driver": "Observe", "observe": section})


def test_an_observed_policy_is_judged_as_given_and_nothing_is_written_but_statuses(operator):
    operator.start()
    control_plane = operator.control_plane
    pci = thing("AuditPolicy", "pci", {"rules": [{"level": "Request", "verbs": ["create"]}]}, "payments")
    since = control_plane.audit_position()
    custom = observe(provider="Custom", policyRef={"namespace": NAMESPACE, "name": "theirs"})
    control_plane.apply(custom, pci)
    operator.until("ResolvedRefs", ("False", "GivenPolicyNotFound"), "auditcontrolplanes", "main")
    assert "coverage" not in operator.status("auditpolicies", "pci", "payments")

    control_plane.apply(theirs(THEIRS))
    operator.until("ResolvedRefs", ("True", "ResolvedRefs"), "auditcontrolplanes", "main")
    operator.until("Programmed", ("Unknown", "Given"), "auditcontrolplanes", "main")
    status = eventually(
        lambda: "coverage" in (seen := operator.status("auditpolicies", "pci", "payments")) and seen, "a judgement"
    )
    assert status["coverage"]["basis"] == "Given"
    assert [each["id"] for each in status["composition"]["findings"]] == ["recorded-below-asked"]
    assert operator.status("auditcontrolplanes", "main")["digest"] == policy_digest(THEIRS)

    # Whoever changes the policy of those API servers changes it here, and the verdict follows.
    control_plane.apply(theirs(THEIRS.replace("Metadata", "Request")))
    eventually(lambda: "composition" not in operator.status("auditpolicies", "pci", "payments"), "nothing to be short")
    control_plane.apply(theirs("rules: 7"))
    operator.until("ResolvedRefs", ("False", "GivenPolicyInvalid"), "auditcontrolplanes", "main")

    control_plane.apply(observe(provider="EKS"))
    eventually(lambda: operator.status("auditcontrolplanes", "main").get("rules") == 17, "the published policy of EKS")
    written = {
        (each["objectRef"]["resource"], each["objectRef"].get("subresource", "")) for each in operator.writes(since)
    }
    assert written <= {("auditcontrolplanes", "status"), ("auditpolicies", "status"), ("events", "")}


def test_fragments_stand_beside_the_policy_and_follow_it(operator):
    operator.start()
    where = {"namespace": NAMESPACE, "name": "audit-policy"}
    plane = {"default": True, "driver": "ConfigMap", "configMap": where, "log": {"maxAge": 77}}
    baseline = thing("ClusterAuditPolicy", "baseline", {"rules": [{"level": "Metadata"}]})
    operator.control_plane.apply(thing("AuditControlPlane", "main", plane), baseline)
    operator.until("Programmed", ("Unknown", "NotObserved"), "auditcontrolplanes", "main")

    def data() -> dict:
        return operator.control_plane.get(f"{FILES}/audit-policy")["data"]

    first = data()
    assert first.keys() == {"policy.yaml", "digest", *(each.key for each in Platform)}
    for platform in Platform:
        assert first["digest"] in first[platform.key]
        assert list(yaml.safe_load_all(first[platform.key]))
    assert "audit-log-maxage=77" in first["k3s.yaml"]

    # Another policy, then other log settings: each makes other fragments.
    operator.control_plane.apply(thing("ClusterAuditPolicy", "baseline", {"rules": [{"level": "Request"}]}))
    eventually(lambda: data()["digest"] != first["digest"] and data()["digest"] in data()["talos.yaml"], "a new policy")
    operator.control_plane.apply(thing("AuditControlPlane", "main", {**plane, "log": {"maxAge": 88}}))
    eventually(lambda: "audit-log-maxage=88" in data()["k3s.yaml"], "new log settings")
