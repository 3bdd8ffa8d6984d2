"""The chart on a real API server: accepted, installed, upgraded, uninstalled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.helm import CHART, EVERYTHING, NAMESPACE, RELEASE, documents
from tests.chart.snapshots import VALUES
from tests.integration.conftest import install_crds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.chart.helm import Helm
    from tests.integration.control_plane import RunningControlPlane

pytestmark = pytest.mark.integration

AGENTS = f"{NAMESPACE}-agent"
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
PRIVILEGED = {"pod-security.kubernetes.io/enforce": "privileged"}
CREATE = "nodeAgent.enabled=true,nodeAgent.createNamespace=false,controlPlane.create=true"


@pytest.fixture
def release(private_control_plane: Callable[..., RunningControlPlane]) -> RunningControlPlane:
    """A cluster with the two namespaces, the operator's under restricted pod security."""
    mine = private_control_plane()
    mine.create_namespace(NAMESPACE, RESTRICTED)
    mine.create_namespace(AGENTS, PRIVILEGED)
    return mine


def run(helm: Helm, control_plane: RunningControlPlane, command: str, *arguments: str) -> str:
    options = ["--kubeconfig", str(control_plane.kubeconfig()), "--namespace", NAMESPACE]
    return helm.run(command, RELEASE, *arguments, *options).stdout


def pods(rendered: str) -> Iterator[dict[str, Any]]:
    """The pods that controllers would make of what is rendered, and those that are rendered as such."""
    for each in documents(rendered):
        if each["kind"] == "Pod":
            yield each
        spec = each.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template is not None and each["kind"] != "CustomResourceDefinition":
            metadata = {"name": f"pod-of-{each['metadata']['name']}", "namespace": each["metadata"]["namespace"]}
            yield {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": metadata | template["metadata"],
                "spec": template["spec"] | {"volumes": [*template["spec"].get("volumes", []), *_claimed(each)]},
            }


def _claimed(controller: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The volumes that a StatefulSet adds to its pods."""
    for claim in controller["spec"].get("volumeClaimTemplates", []):
        name = claim["metadata"]["name"]
        yield {"name": name, "persistentVolumeClaim": {"claimName": name}}


@pytest.fixture(scope="module")
def installed(control_plane: RunningControlPlane, helm: Helm) -> RunningControlPlane:
    """What pods and control planes refer to is there."""
    control_plane.create_namespace(NAMESPACE, RESTRICTED)
    control_plane.create_namespace(AGENTS, PRIVILEGED)
    install_crds(control_plane)
    objects = [*helm.objects(*EVERYTHING), *helm.objects("gateway.enabled=true"), *helm.objects(*VALUES["sealer"])]
    accounts = {each["metadata"]["name"]: each for each in objects if each["kind"] == "ServiceAccount"}
    control_plane.apply(*accounts.values())
    return control_plane


@pytest.mark.parametrize("name", VALUES)
def test_everything_that_is_rendered_is_accepted_without_a_warning(
    installed: RunningControlPlane, helm: Helm, name: str
) -> None:
    rendered = helm.template(*VALUES[name])
    # `dry-run` validates as a write does; unknown fields, deprecated APIs and pod security would be warned of.
    options = ["--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "--warnings-as-errors"]
    accepted = installed.kubectl("apply", *options, "-f", "-", stdin=rendered).stdout.splitlines()
    assert len(accepted) == len(documents(rendered))


@pytest.mark.parametrize("name", VALUES)
def test_pods_are_admitted_where_they_are_meant_to_run(installed: RunningControlPlane, helm: Helm, name: str) -> None:
    made = list(pods(helm.template(*VALUES[name])))
    assert made
    for pod in made:
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods?dryRun=All"
        response = installed.request("POST", path, pod)
        assert response.status == 201, response.body


def test_agents_and_shippers_would_not_be_admitted_beside_the_operator(
    installed: RunningControlPlane, helm: Helm
) -> None:
    theirs = [each for each in pods(helm.template(*EVERYTHING)) if each["metadata"]["namespace"] == AGENTS]
    assert len(theirs) == 2
    for pod in theirs:
        pod["metadata"]["namespace"] = NAMESPACE
        response = installed.request("POST", f"/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All", pod)
        assert response.status == 403
        assert "hostPath" in response.json()["message"]


def test_a_control_plane_lives_through_install_upgrade_uninstall_and_install(
    release: RunningControlPlane, either_helm: Helm, tmp_path: Path
) -> None:
    def plane() -> dict[str, Any]:
        found: dict[str, Any] = release.get("/apis/audit-operator.dev/v1alpha1/auditcontrolplanes/cluster")
        return found

    # Nothing earlier was released: this chart under an earlier number, which labels say, and selectors must not.
    either_helm.run("package", CHART, "--version", "0.0.1", "--app-version", "0.0.1", "--destination", tmp_path)
    said = run(either_helm, release, "install", str(tmp_path / "audit-operator-0.0.1.tgz"), "--set", CREATE)
    if "NOT made yet" in said:  # Helm 3; the command that it names comes next
        run(either_helm, release, "upgrade", str(CHART), "--reuse-values")
    first = plane()
    assert first["spec"]["driver"] == "StaticPod"
    # What is set on the command line in between, an upgrade that does not speak of it leaves alone.
    release.kubectl("patch", "acp", "cluster", "--type=merge", "-p", '{"spec": {"rollout": {"paused": true}}}')
    for precision in ("Envelope", "Exact"):
        run(
            either_helm,
            release,
            "upgrade",
            str(CHART),
            "--set",
            CREATE,
            "--set",
            f"controlPlane.spec.precision={precision}",
        )
        assert plane()["spec"]["precision"] == precision
    assert plane()["spec"]["rollout"]["paused"] is True
    run(either_helm, release, "uninstall")
    assert plane()["metadata"]["uid"] == first["metadata"]["uid"]
    left = release.kubectl("get", "deployments,daemonsets,services,roles,rolebindings", "-A", "-o", "name").stdout
    assert "audit-operator" not in left
    assert "audit-operator" not in release.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name").stdout
    run(either_helm, release, "install", str(CHART), "--set", CREATE)
    assert plane()["metadata"]["uid"] == first["metadata"]["uid"]


def test_the_agents_namespace_is_made_with_the_pod_security_that_they_need(
    private_control_plane: Callable[..., RunningControlPlane], helm: Helm
) -> None:
    mine = private_control_plane()
    run(helm, mine, "install", str(CHART), "--create-namespace", "--set", "nodeAgent.enabled=true")
    labels = mine.get(f"/api/v1/namespaces/{AGENTS}")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"


def test_the_manifests_install_without_helm(release: RunningControlPlane, helm: Helm) -> None:
    folder = CHART.parents[1] / "manifests"
    names = ("install.yaml", "node-agent.yaml", "shipper.yaml")
    for name in names:
        release.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(folder / name))
    labels = release.get(f"/api/v1/namespaces/{NAMESPACE}")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    applied = {
        (each["kind"], each["metadata"]["name"]) for name in names for each in documents((folder / name).read_text())
    }
    rendered = helm.objects("nodeAgent.enabled=true", "shipper.enabled=true")
    assert applied >= {(each["kind"], each["metadata"]["name"]) for each in rendered if each["kind"] != "Pod"}
    # Neither of the two has taken from the operator what the other one gave.
    agents = {
        each["metadata"]["name"] for each in release.get(f"/apis/apps/v1/namespaces/{AGENTS}/daemonsets")["items"]
    }
    assert agents == {"audit-operator-agent", "audit-operator-shipper"}
