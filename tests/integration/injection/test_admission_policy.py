"""The chart's MutatingAdmissionPolicy, and the operator's own patch, on the real API server: the same pods."""

from __future__ import annotations

import copy

import pytest

from audit_operator.shipping.injection.patch import _add, patch
from tests.integration.injection.conftest import admitted, is_injecting, shipper_containers
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
