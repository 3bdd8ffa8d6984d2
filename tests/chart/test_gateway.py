"""The gateway as the chart installs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.settings import Settings, ShipperMode
from tests.chart.helm import NAMESPACE
from tests.chart.test_rights import OPERATOR, SHIPPING, rights, together

if TYPE_CHECKING:
    from tests.chart.helm import Helm

ENABLED = "gateway.enabled=true"
ISSUED = "gateway.certificate.issuerRef.name=ca"


def only(objects: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    [found] = [each for each in objects if each["kind"] == kind and name in each["metadata"]["name"]]
    return found


def pod(helm: Helm, *values: str) -> dict[str, Any]:
    found: dict[str, Any] = only(helm.objects(ENABLED, *values), "StatefulSet")["spec"]["template"]["spec"]
    return found


def settings(helm: Helm, *values: str) -> Settings:
    [container] = pod(helm, *values)["containers"]
    return Settings.from_environment({each["name"]: each.get("value", "gateway-0") for each in container["env"]})


def test_its_environment_is_settings(helm: Helm) -> None:
    found = settings(helm, "gateway.controlPlane=edge", "gateway.clients.names={api-server,other}")
    assert (found.node, found.control_plane, found.gateway_clients) == ("gateway-0", "edge", "api-server,other")
    assert not found.gateway_anonymous
    [container] = pod(helm)["containers"]
    mounts = [each["mountPath"] for each in container["volumeMounts"]]
    assert str(found.shipper_folder.parent) in mounts
    assert {str(path.parent) for path in (found.gateway_certificate, found.gateway_key, found.gateway_client_ca)} <= {
        *mounts
    }
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"events": found.gateway_port, "metrics": found.listen_port}


def test_the_operator_is_told_that_there_is_one(helm: Helm) -> None:
    deployment = only(helm.objects(ENABLED), "Deployment")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value", NAMESPACE) for each in container["env"]}
    assert Settings.from_environment(environment).shippers is ShipperMode.GATEWAY


def test_it_may_read_one_secret_and_report_and_the_operator_need_not_know_nodes(helm: Helm) -> None:
    objects = helm.objects(ENABLED)
    replicas = [f"audit-shipper-audit-operator-gateway-{replica}" for replica in range(2)]
    reports = {f"{verb} coordination.k8s.io/leases {name}" for verb in ("create", "patch") for name in replicas}
    assert rights(objects, "audit-operator-gateway") == {
        ("Role", NAMESPACE): {"get secrets audit-shipper-cluster"} | reports
    }
    assert rights(objects, "audit-operator") == together(OPERATOR, {("Role", NAMESPACE): SHIPPING["Role", NAMESPACE]})


def test_its_pods_are_restricted_and_keep_what_they_have_answered_for(helm: Helm) -> None:
    found = only(helm.objects(ENABLED), "StatefulSet")["spec"]
    context, [container] = found["template"]["spec"]["securityContext"], found["template"]["spec"]["containers"]
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert not any("hostPath" in each for each in found["template"]["spec"]["volumes"])
    assert set(found["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}
    assert [each["metadata"]["name"] for each in found["volumeClaimTemplates"]] == ["state"]


def test_a_certificate_is_asked_of_cert_manager_only_with_an_issuer(helm: Helm) -> None:
    assert not [each for each in helm.objects(ENABLED) if each["kind"] == "Certificate"]
    issued = helm.objects(ENABLED, ISSUED, "gateway.clients.names={api}", "gateway.certificate.dnsNames={a.example}")
    certificate = only(issued, "Certificate")["spec"]
    assert certificate["dnsNames"] == [f"audit-operator-gateway.{NAMESPACE}.svc", "a.example"]
    assert certificate["secretName"] == "audit-operator-gateway"


def test_api_servers_and_scrapers_reach_it(helm: Helm) -> None:
    def ingress(*values: str) -> list[dict[str, Any]]:
        objects = helm.objects(ENABLED, *values)
        found: list[dict[str, Any]] = only(objects, "NetworkPolicy", "-gateway")["spec"]["ingress"]
        return found

    assert ingress() == [{"ports": [{"port": "events"}]}, {"ports": [{"port": "metrics"}]}]
    events, metrics = ingress("networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus")
    assert "from" not in events
    assert metrics["from"] == [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]


def test_not_everybody_whom_an_issuer_signs_for_may_post(helm: Helm) -> None:
    assert "whoever has a certificate of that issuer could write records" in helm.template(ENABLED, ISSUED, check=False)
    for said in ("names={api-server}", "caSecretName=api-servers", "anonymous=true"):
        assert only(helm.objects(ENABLED, ISSUED, f"gateway.clients.{said}"), "Certificate")


def test_it_does_not_go_together_with_shippers_on_nodes(helm: Helm) -> None:
    done = helm.run("template", "x", "charts/audit-operator", "--set", f"{ENABLED},shipper.enabled=true", check=False)
    assert done.returncode != 0
    assert "install one release for each kind" in done.stderr
