"""What the chart renders."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from audit_operator.api.crd import drift
from audit_operator.detections.alert_rules import ALERT
from audit_operator.plan.collector_files import Places
from audit_operator.settings import Settings, ShipperMode
from audit_operator.shipping.injection.template import SidecarTemplate
from tests.chart.helm import CHART, EVERYTHING, MONITORING, NAMESPACE, VERSIONS
from tests.chart.snapshots import FOLDER, VALUES, render
from tools.image import rootfs

if TYPE_CHECKING:
    from tests.chart.helm import Helm

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("values", [(), EVERYTHING], ids=["default", "everything"])
def test_lint_finds_nothing(either_helm: Helm, values: tuple[str, ...]) -> None:
    assert "0 chart(s) failed" in either_helm.lint(*values)


@pytest.mark.parametrize("name", VALUES)
def test_what_is_rendered_is_what_was_looked_at(helm: Helm, name: str) -> None:
    # After a change that is meant: python -m tests.chart.snapshots
    assert render(helm, name) == (FOLDER / f"{name}.yaml").read_text()


def test_both_versions_of_helm_render_the_same(provide_helm) -> None:
    api_versions = [MONITORING, "audit-operator.dev/v1alpha1/AuditControlPlane"]
    objects = [provide_helm(version).objects(*EVERYTHING, api_versions=api_versions) for version in VERSIONS]
    three, four = [sorted(each, key=lambda o: (o["kind"], o["metadata"]["name"])) for each in objects]
    assert three == four


def test_versions_and_kinds_are_those_of_the_project(helm: Helm) -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert project is not None
    assert {chart["version"], chart["appVersion"]} == {project[1]}
    assert drift(CHART / "files" / "crds") == []
    definitions = [each for each in helm.objects() if each["kind"] == "CustomResourceDefinition"]
    originals = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))]
    by_name = {each["metadata"]["name"]: each["spec"] for each in definitions}
    assert by_name == {each["metadata"]["name"]: each["spec"] for each in originals}


def test_custom_resource_definitions_survive_an_uninstall_unless_told_otherwise(helm: Helm) -> None:
    def policies(*values: str) -> set[str | None]:
        kept = "helm.sh/resource-policy"
        return {
            each["metadata"].get("annotations", {}).get(kept)
            for each in helm.objects(*values)
            if each["kind"] == "CustomResourceDefinition"
        }

    assert policies() == {"keep"}
    assert policies("crds.keep=false") == {None}
    assert policies("crds.enabled=false") == set()


def test_a_control_plane_is_made_by_a_hook_only_where_its_kind_is_not_served_yet(helm: Helm, provide_helm) -> None:
    def plane(*api_versions: str) -> dict[str, str]:
        objects = helm.objects("controlPlane.create=true", api_versions=api_versions)
        return next(each["metadata"]["annotations"] for each in objects if each["kind"] == "AuditControlPlane")

    first, later = plane(), plane("audit-operator.dev/v1alpha1/AuditControlPlane")
    assert first["helm.sh/hook"] == "post-install,post-upgrade"
    # Helm's default would delete the control plane before each upgrade.
    assert first["helm.sh/hook-delete-policy"] == "hook-failed"
    # With these the next upgrade takes it over into the release.
    assert first["meta.helm.sh/release-name"] == first["meta.helm.sh/release-namespace"] == "audit-operator"
    assert later == {"helm.sh/resource-policy": "keep"}
    # Helm 3 would never change what it has taken over.
    assert "AuditControlPlane" not in {
        each["kind"] for each in provide_helm("Helm 3").objects("controlPlane.create=true")
    }


def test_what_needs_other_apis_is_left_out_where_they_are_not_served(helm: Helm) -> None:
    groups = {each["apiVersion"] for each in helm.objects(*EVERYTHING)}
    assert MONITORING not in groups
    assert MONITORING in {each["apiVersion"] for each in helm.objects(*EVERYTHING, api_versions=[MONITORING])}


@pytest.mark.parametrize(
    ("values", "tries"),
    [(("sidecar.enabled=true",), True), (("sidecar.enabled=true", "settings.shipperCanary=false"), False), ((), False)],
)
def test_the_operator_has_a_collector_and_room_to_try_what_sidecars_read(
    helm: Helm,
    values: tuple[str, ...],
    tries: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    [deployment] = [each for each in helm.objects(*values) if each["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert ("AUDIT_OPERATOR_COLLECTOR" in {each["name"] for each in container["env"]}) is tries
    assert [each["mountPath"] for each in container.get("volumeMounts", [])] == (["/tmp"] if tries else [])  # noqa: S108
    assert ("volumes" in pod) is tries


def test_every_setting_of_the_operator_can_be_set_by_its_name(helm: Helm) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    names = set(schema["properties"]["settings"]["properties"])
    said_otherwise = {"kubeconfig", "context", "namespace", "lease", "identity", "listen_host", "listen_port", "node"}
    said_otherwise |= {"sidecar", "restart_workloads", "webhook", "webhook_port", "service_account", "prober"}
    said_otherwise |= {"report_owner", "proof_memory", "trial_folder"}
    said_otherwise |= {"alert_objects", "alert_object_labels", "runbook_url"}
    only_elsewhere = {name for name in Settings.model_fields if name.startswith("agent_")}
    only_elsewhere |= {name for name in Settings.model_fields if name.startswith(("shipper", "gateway_", "reader_"))}
    only_elsewhere |= {"process_folder", "collector", "control_plane", "sidecar"}
    only_elsewhere -= {"shipper_canary"}
    assert {_snake(name) for name in names} == set(Settings.model_fields) - said_otherwise - only_elsewhere
    [deployment] = [each for each in helm.objects("settings.statusesPerSecond=50") if each["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["AUDIT_OPERATOR_STATUSES_PER_SECOND"] == "50"
    given = {name: value or NAMESPACE for name, value in environment.items()}
    assert Settings.from_environment(given).statuses_per_second == 50


def test_the_agents_environment_is_settings(helm: Helm) -> None:
    [agent] = [each for each in helm.objects("nodeAgent.enabled=true") if each["kind"] == "DaemonSet"]
    [container] = agent["spec"]["template"]["spec"]["containers"]
    settings = Settings.from_environment({each["name"]: each.get("value", "node-1") for each in container["env"]})
    assert (settings.namespace, settings.node, settings.listen_host) == (NAMESPACE, "node-1", "127.0.0.1")
    # The agent runs elsewhere than it talks.
    assert agent["metadata"]["namespace"] == f"{NAMESPACE}-agent"


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ("shipper.enabled=true", "cluster"),
        ("shipper.enabled=true,shipper.controlPlane=edge", "edge"),
        ("gateway.enabled=true,gateway.controlPlane=managed", "managed"),
    ],
)
def test_the_operator_knows_which_control_plane_has_shippers_that_it_may_tell(
    helm: Helm, values: str, name: str
) -> None:
    objects = helm.objects(values)
    [deployment] = [each for each in objects if each["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["AUDIT_OPERATOR_SHIPPER_CONTROL_PLANES"] == name
    granted = [rule.get("resourceNames") for each in objects if each["kind"] == "Role" for rule in each["rules"]]
    assert [f"audit-shipper-{name}"] in granted


def test_the_shippers_environment_is_settings(helm: Helm) -> None:
    pod = shipper(helm, "shipper.controlPlane=edge", "shipper.paths.state=/var/lib/elsewhere")["spec"]["template"][
        "spec"
    ]
    [container] = pod["containers"]
    settings = Settings.from_environment({each["name"]: each.get("value", "node-1") for each in container["env"]})
    assert (settings.namespace, settings.node, settings.control_plane) == (NAMESPACE, "node-1", "edge")
    assert str(settings.collector) == f"/{rootfs.COLLECTOR}"
    mounts = {each["mountPath"]: each.get("readOnly", False) for each in container["volumeMounts"]}
    assert mounts[str(settings.shipper_folder)] is False
    # The configuration names the path of the log, as the API server writes it.
    assert mounts[str(PurePosixPath(Places().audit_log).parent)] is True
    assert [each["containerPort"] for each in container["ports"]] == [settings.listen_port]


def test_the_operator_knows_of_shippers_where_there_are_any(helm: Helm) -> None:
    def settings(*values: str) -> Settings:
        [deployment] = [each for each in helm.objects(*values) if each["kind"] == "Deployment"]
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        return Settings.from_environment({each["name"]: each.get("value", NAMESPACE) for each in container["env"]})

    assert settings().shippers is ShipperMode.NONE
    assert settings("shipper.enabled=true").shippers is ShipperMode.NODES
    pool = "shipper.enabled=true,shipper.nodeSelector.pool=control"
    assert settings(pool).shipper_node_selector == "node-role.kubernetes.io/control-plane=,pool=control"


def test_the_operator_asks_stores_only_where_its_network_policy_lets_it(helm: Helm) -> None:
    def asks(*values: str) -> bool:
        [deployment] = [each for each in helm.objects(*values) if each["kind"] == "Deployment"]
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        given = {each["name"]: each.get("value", NAMESPACE) for each in container["env"]}
        return Settings.from_environment(given).sink_check_seconds > 0

    assert not asks()
    assert asks("networkPolicy.enabled=false")
    assert asks("networkPolicy.sinkEgress[0].ports[0].port=9428")
    assert asks("settings.sinkCheckSeconds=60")
    assert not asks("networkPolicy.enabled=false", "settings.sinkCheckSeconds=0")


def test_detections_are_counted_only_where_somebody_said_who_may_read_the_counts(helm: Helm) -> None:
    def conditions(*values: str) -> int:
        [deployment] = [each for each in helm.objects(*values) if each["kind"] == "Deployment"]
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        given = [(each["name"], each.get("value", NAMESPACE)) for each in container["env"]]
        assert len(dict(given)) == len(given)
        return Settings.from_environment(dict(given)).detection_conditions

    prometheus = "networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus"
    assert conditions() == 0
    assert conditions("settings.detectionConditions=8") == 0
    assert conditions(prometheus, "networkPolicy.enabled=false") == 0
    assert conditions(prometheus) == 64
    assert conditions(prometheus, "settings.detectionConditions=8") == 8
    assert conditions("detections.countsForEverybody=true") == 64


def shipper(helm: Helm, *values: str) -> dict[str, Any]:
    [found] = [each for each in helm.objects("shipper.enabled=true", *values) if each["kind"] == "DaemonSet"]
    return found


def test_a_shipper_is_root_and_nothing_else(helm: Helm) -> None:
    daemon_set = shipper(helm)
    pod = daemon_set["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"] == {"runAsUser": 0, "runAsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    [container_elsewhere] = shipper(helm, "shipper.apiServerIsRoot=false")["spec"]["template"]["spec"]["containers"]
    capabilities = container_elsewhere["securityContext"]["capabilities"]
    assert capabilities == {"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]}
    assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC", "hostUsers"}
    folders = {each["name"]: each["hostPath"]["path"] for each in pod["volumes"] if "hostPath" in each}
    assert folders == {"logs": "/var/log/kubernetes/audit", "state": "/var/lib/audit-operator-shipper"}
    assert [each["name"] for each in container["volumeMounts"] if not each.get("readOnly")] == ["state", "tmp"]
    assert all("sizeLimit" in each["emptyDir"] for each in pod["volumes"] if "emptyDir" in each)
    assert set(container["resources"]) == {"requests", "limits"}
    # Two shippers on one folder would both send what waits there.
    assert daemon_set["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] == 0


def test_agents_and_shippers_share_a_namespace_that_either_of_them_makes(helm: Helm) -> None:
    def made(*values: str) -> list[str]:
        return [each["metadata"]["name"] for each in helm.objects(*values) if each["kind"] == "Namespace"]

    assert made() == []
    for values in (["shipper.enabled=true"], ["nodeAgent.enabled=true"], EVERYTHING):
        assert made(*values) == [f"{NAMESPACE}-agent"]
        assert made(*values, "nodeAgent.createNamespace=false") == []
    assert shipper(helm)["metadata"]["namespace"] == f"{NAMESPACE}-agent"


def test_scrapers_alone_connect_to_a_shipper_and_it_connects_to_sinks_wherever_they_are(helm: Helm) -> None:
    def policy(*values: str) -> dict[str, Any]:
        found = [each for each in helm.objects("shipper.enabled=true", *values) if each["kind"] == "NetworkPolicy"]
        return next(each["spec"] for each in found if each["metadata"]["name"] == "audit-operator-shipper")

    assert policy()["ingress"] == [{"ports": [{"port": "metrics"}]}]
    assert policy()["egress"] == [{}]
    assert policy("networkPolicy.shipperEgress[0].ports[0].port=9428")["egress"] == [{"ports": [{"port": 9428}]}]


def test_alerts_and_dashboard_use_metrics_that_exist() -> None:
    documented = set(
        re.findall(r"^\| `(audit_operator_\w+)`", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)
    )
    for name in ("rules.yaml", "dashboard.json"):
        used = set(re.findall(r"audit_operator_\w+", (CHART / "files" / name).read_text()))
        assert {re.sub(r"_bucket$", "", each) for each in used} - documented == set()


def test_every_alert_has_its_section_in_the_runbooks_and_links_there_where_they_are_published(helm: Helm) -> None:
    def rules(*values: str) -> dict[str, dict[str, str]]:
        objects = helm.objects("metrics.rules.enabled=true", *values, api_versions=[MONITORING])
        [found] = [each for each in objects if each["kind"] == "PrometheusRule"]
        listed = [rule for group in found["spec"]["groups"] for rule in group["rules"]]
        return {each["alert"]: each["annotations"] for each in listed}

    sections = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbooks.md").read_text(), re.MULTILINE)
    plain, linked = rules(), rules("metrics.rules.runbookURL=https://wiki.example.com/audit")
    assert sections == [*plain, ALERT]  # the latter is that of detections
    for alert, said in plain.items():
        link = {"runbook_url": f"https://wiki.example.com/audit#{alert.lower()}"}
        assert linked[alert] == {**said, **link}


def test_every_value_is_in_the_readme() -> None:
    text = (CHART / "README.md").read_text()
    missing = [path for path in _leaves(yaml.safe_load((CHART / "values.yaml").read_text())) if f"`{path}`" not in text]
    assert missing == []


def test_only_those_reach_the_webhook_whom_values_name(helm: Helm) -> None:
    def webhook(*values: str) -> list[dict[str, Any]]:
        objects = helm.objects("sidecar.enabled=true", "sidecar.mechanism=Webhook", *values)
        [policy] = [each for each in objects if each["kind"] == "NetworkPolicy"]
        return [each for each in policy["spec"]["ingress"] if each["ports"] == [{"port": "webhook"}]]

    assert webhook() == [{"ports": [{"port": "webhook"}]}]
    [named] = webhook("networkPolicy.webhookFrom[0].ipBlock.cidr=10.0.0.0/28")
    assert named["from"] == [{"ipBlock": {"cidr": "10.0.0.0/28"}}]


@pytest.mark.parametrize("namespaces", ["{kube-system}", "{kube-system,monitoring}"])
def test_the_revision_of_sidecars_is_the_operators_and_knows_no_excluded_namespaces(
    helm: Helm, namespaces: str
) -> None:
    sidecars = ("sidecar.enabled=true", "sidecar.mechanism=AdmissionPolicy")
    objects = helm.objects(*sidecars, f"sidecar.excludedNamespaces={namespaces}")
    [policy] = [each for each in objects if each["kind"] == "MutatingAdmissionPolicy"]
    [deployment] = [each for each in objects if each["kind"] == "Deployment"]
    environment = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    [text] = [each["value"] for each in environment if each["name"] == "AUDIT_OPERATOR_SIDECAR"]
    said = re.findall(r'variables\.policy,\s+value: "(\w+)"', policy["spec"]["mutations"][0]["jsonPatch"]["expression"])
    assert said == [SidecarTemplate.parse(text).revision]
    assert said == re.findall(r'variables\.policy,\s+value: "(\w+)"', helm.template(*sidecars))


def _leaves(values: object, path: str = "") -> list[str]:
    free = {
        "controlPlane.spec",
        "nodeAgent.nodeSelector",
        "nodeAgent.resources",
        "shipper.nodeSelector",
        "shipper.resources",
        "gateway.resources",
        "reader.resources",
        "sealer.resources",
        "verifier.resources",
        "sidecar.resources",
        "resources",
        "metrics.dashboard.labels",
    }
    if isinstance(values, dict) and values and path not in free:
        return [leaf for key, value in values.items() for leaf in _leaves(value, f"{path}.{key}".lstrip("."))]
    return [path]


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
