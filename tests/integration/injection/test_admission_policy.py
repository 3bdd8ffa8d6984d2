"""The chart's MutatingAdmissionPolicy, and the operator's own patch, on the real API server: the same pods."""

from __future__ import annotations

import copy
import time

import pytest
import yaml

from audit_operator.shipping.injection.patch import _add, patch
from tests.chart.helm import documents
from tests.integration.conftest import ROOT
from tests.integration.injection.conftest import SIDECARS, admitted, is_injecting, shipper_containers
from tests.integration.operator_process import eventually
from tests.shipping.injection.pods import INJECTED, LEFT_ALONE, SELECTIVE, model, pod, policy

_OF_THE_SERVER = ("uid", "creationTimestamp", "namespace", "name", "generation", "managedFields")


def comparable(document):
    """Without what the API server gives to each pod anew."""
    metadata = {key: value for key, value in document["metadata"].items() if key not in _OF_THE_SERVER}
    return {**document, "metadata": metadata}


def patched(document, template, *policies):
    result = copy.deepcopy(document)
    for each in patch(document, "payments", [model(each) for each in policies], template):
        _add(result, each["path"], each["value"])
    return result


@pytest.fixture(scope="module")
def elsewhere(admission_policy):
    """A namespace without policies."""
    name = admission_policy.create_namespace()
    yield name
    admission_policy.finalize_namespace(name)


@pytest.fixture(scope="module")
def selective(admission_policy):
    """A namespace with a policy that is choosy."""
    name = admission_policy.create_namespace()
    admission_policy.apply({**SELECTIVE, "metadata": {"name": "pci", "namespace": name}})
    eventually(lambda: is_injecting(admission_policy, name, "pci"), "the policy is in force")
    yield name
    admission_policy.finalize_namespace(name)


@pytest.mark.parametrize("name", [*INJECTED, *LEFT_ALONE])
def test_the_api_server_and_the_operator_make_the_same_pod(admission_policy, template, selective, elsewhere, name):
    document = (INJECTED | LEFT_ALONE)[name]
    by_policy = admitted(admission_policy, selective, document)
    by_patch = admitted(admission_policy, elsewhere, patched(document, template, SELECTIVE))
    assert comparable(by_policy) == comparable(by_patch)
    has_own = "audit-shipper-pci" in shipper_containers(document)
    assert ("audit-shipper-pci" in shipper_containers(by_policy)) == (name in INJECTED or has_own)


def test_several_policies_make_the_same_pod_too(admission_policy, apply_policies, template, elsewhere, namespace):
    policies = [policy("b"), policy("a"), policy("a-state"), policy("c" * 42)]
    apply_policies(namespace, *policies)
    for document in (pod(), INJECTED["with linkerd behind"], INJECTED["with both volumes, twice named"]):
        by_policy = admitted(admission_policy, namespace, document)
        assert comparable(by_policy) == comparable(
            admitted(admission_policy, elsewhere, patched(document, template, *policies))
        )


def test_a_policy_that_makes_no_sense_keeps_no_pod_from_being_made(private_control_plane, helm):
    server = private_control_plane()
    crd = yaml.safe_load((ROOT / "crds" / "audit-operator.dev_auditpolicies.yaml").read_text())
    for each in crd["spec"]["versions"]:
        # As if it had been stored when there were other rules.
        each["schema"]["openAPIV3Schema"]["properties"]["spec"] = {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
        }
    server.apply(crd)
    server.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/auditpolicies.audit-operator.dev")
    rendered = documents(helm.template(*SIDECARS, "sidecar.mechanism=AdmissionPolicy"))
    server.apply(*(each for each in rendered if each["kind"].startswith("MutatingAdmissionPolicy")))
    namespace = server.create_namespace()
    server.apply(policy("fine", namespace))
    eventually(lambda: is_injecting(server, namespace, "fine"), "injection")
    for number, logs in enumerate(({}, {"files": 7}, {"files": [{}]}, {"files": [], "podSelector": []}, "x")):
        broken = policy(f"broken-{number}", namespace)
        broken["spec"]["applicationLogs"] = logs
        server.apply(broken)
    # However long they have been known by then: each pod is made, and has the sidecar of the policy that is fine.
    for _ in range(10):
        assert "audit-shipper-fine" in shipper_containers(admitted(server, namespace, pod()))
        time.sleep(0.2)
