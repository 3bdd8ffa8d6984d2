"""The chart's MutatingAdmissionPolicy on the real API server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from audit_operator.shipping.injection.template import SidecarTemplate
from tests.chart.helm import Helm, documents
from tests.chart.helm import provide as provide_helm
from tests.e2e.node.binaries import HELM
from tests.integration.operator_process import eventually
from tests.shipping.injection.pods import pod, policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.control_plane import RunningControlPlane

SIDECARS = ("sidecar.enabled=true", "image.repository=registry.example/audit-operator")


def shipper_containers(document: dict[str, Any]) -> list[str]:
    inits = document["spec"].get("initContainers", ())
    return [each["name"] for each in inits if each["name"].startswith("audit-shipper-")]


def admitted(control_plane: RunningControlPlane, namespace: str, document: dict[str, Any]) -> dict[str, Any]:
    """The pod that would be stored."""
    body = {**document, "metadata": {**document["metadata"], "namespace": namespace}}
    response = control_plane.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", body)
    assert response.status == 201, response.body
    found: dict[str, Any] = response.json()
    return found


def is_injecting(control_plane: RunningControlPlane, namespace: str, *policies: str) -> bool:
    found = shipper_containers(admitted(control_plane, namespace, pod()))
    return found == [f"audit-shipper-{each}" for each in policies]


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return provide_helm(HELM, tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def template(helm: Helm) -> SidecarTemplate:
    """As the chart tells it to the operator."""
    [deployment] = [each for each in helm.objects(*SIDECARS) if each["kind"] == "Deployment"]
    [operator] = deployment["spec"]["template"]["spec"]["containers"]
    [text] = [each["value"] for each in operator["env"] if each["name"] == "AUDIT_OPERATOR_SIDECAR"]
    return SidecarTemplate.parse(text)


@pytest.fixture(scope="module")
def admission_policy(control_plane: RunningControlPlane, crds: None, helm: Helm) -> Iterator[RunningControlPlane]:  # noqa: ARG001  # what it needs is there
    """The shared control plane, while it injects."""
    rendered = documents(helm.template(*SIDECARS, "sidecar.mechanism=AdmissionPolicy"))
    objects = [each for each in rendered if each["kind"].startswith("MutatingAdmissionPolicy")]
    assert [each["kind"] for each in objects] == ["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"]
    control_plane.apply(*objects)
    namespace = control_plane.create_namespace()
    control_plane.apply(policy(namespace=namespace))
    eventually(lambda: is_injecting(control_plane, namespace, "pci"), "the admission policy is in force")
    control_plane.finalize_namespace(namespace)
    yield control_plane
    control_plane.kubectl("delete", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


@pytest.fixture
def apply_policies(admission_policy: RunningControlPlane) -> Callable[..., None]:
    """Applies policies, and waits until they are in force; all of them inject the plain pod."""

    def apply(namespace: str, *policies: dict[str, Any]) -> None:
        wanted = sorted(each["metadata"]["name"] for each in policies)
        admission_policy.apply(
            *({**each, "metadata": {**each["metadata"], "namespace": namespace}} for each in policies)
        )
        eventually(lambda: is_injecting(admission_policy, namespace, *wanted), f"{wanted} are in force")

    return apply
