"""The reader as the chart installs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from audit_operator.api.parsing import parse_object
from audit_operator.api.sink import ClusterAuditSink
from audit_operator.controller.sink_access import Stores
from audit_operator.controller.sink_in_files import SecretsInFolders
from audit_operator.settings import Settings
from tests.chart.helm import MONITORING, NAMESPACE
from tests.chart.test_gateway import only
from tests.chart.test_rights import OPERATOR, rights
from tests.integration.reading.world import READ_RECORDS, READERS_RIGHTS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chart.helm import Helm

URL = "http://victoria-logs:9428"
ENABLED = ("reader.enabled=true", "reader.sink.type=VictoriaLogs", f"reader.sink.victoriaLogs.url={URL}")
CREDENTIALS = (
    "reader.sink.credentials.type=Bearer",
    f"reader.sink.credentials.secretRef.namespace={NAMESPACE}",
    "reader.sink.credentials.secretRef.name=store",
)


def pod(helm: Helm, *values: str) -> dict[str, Any]:
    found: dict[str, Any] = only(helm.objects(*ENABLED, *values), "Deployment", "-reader")["spec"]["template"]["spec"]
    return found


def settings(helm: Helm, *values: str) -> Settings:
    [container] = pod(helm, *values)["containers"]
    return Settings.from_environment({each["name"]: each["value"] for each in container["env"]})


def test_its_environment_is_settings_and_its_files_are_mounted(helm: Helm) -> None:
    found = settings(helm, "controlPlane.name=edge", "reader.audiences={records}", "reader.clusters={a,b}")
    assert (found.control_plane, found.reader_audiences, found.reader_clusters) == ("edge", "records", "a,b")
    [container] = pod(helm)["containers"]
    mounts = {each["mountPath"] for each in container["volumeMounts"]}
    files = (found.reader_certificate, found.reader_key, found.reader_sink)
    assert {str(each.parent) for each in files} <= mounts
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"records": found.reader_port, "metrics": found.listen_port}


async def test_its_sink_is_one_and_its_secrets_are_where_it_looks(helm: Helm, tmp_path: Path) -> None:
    document = yaml.safe_load(only(helm.objects(*ENABLED, *CREDENTIALS), "ConfigMap", "-reader")["data"]["sink.yaml"])
    sink = parse_object(document)
    assert isinstance(sink, ClusterAuditSink)
    [container] = pod(helm, *CREDENTIALS)["containers"]
    folder = str(settings(helm).reader_secrets)
    [mounted] = [each["mountPath"] for each in container["volumeMounts"] if each["mountPath"].startswith(folder)]
    (tmp_path / mounted.removeprefix(f"{folder}/")).mkdir()
    (tmp_path / "store" / "token").write_text("good")
    access = await Stores(SecretsInFolders(tmp_path)).access(sink)
    assert getattr(access, "authorization", access) == "Bearer good"


def test_the_names_of_secrets_may_be_such_as_no_volume_may_have(helm: Helm) -> None:
    name = f"store.example.com-{'x' * 60}"
    found = pod(helm, *(each.replace("name=store", f"name={name}") for each in CREDENTIALS))
    [volume] = [each for each in found["volumes"] if each.get("secret", {}).get("secretName") == name]
    [mount] = [each for each in found["containers"][0]["volumeMounts"] if each["name"] == volume["name"]]
    assert mount["mountPath"].endswith(f"/{name}")
    assert "." not in volume["name"]
    assert len(volume["name"]) <= 63


def test_secrets_of_other_namespaces_cannot_be_mounted(helm: Helm) -> None:
    elsewhere = [each.replace(f"namespace={NAMESPACE}", "namespace=other") for each in CREDENTIALS]
    assert f"must be in namespace {NAMESPACE}" in helm.template(*ENABLED, *elsewhere, check=False)
    assert "needs reader.sink" in helm.template("reader.enabled=true", check=False)


def test_it_may_ask_who_somebody_is_and_what_they_may_and_nothing_else(helm: Helm) -> None:
    objects = helm.objects(*ENABLED)
    assert rights(objects, "audit-operator-reader") == {
        ("ClusterRole", "*"): {
            "create authentication.k8s.io/tokenreviews",
            "create authorization.k8s.io/subjectaccessreviews",
            "get namespaces",
        }
    }
    assert rights(objects, "audit-operator") == OPERATOR


def test_nobody_reads_records_to_whom_the_role_is_not_bound(helm: Helm) -> None:
    roles = [each for each in helm.objects(*ENABLED) if each["kind"] in ("ClusterRole", "Role")]
    of_records = [each for each in roles for rule in each["rules"] if "auditpolicies/records" in rule["resources"]]
    [role] = of_records
    assert role["metadata"]["name"] == "audit-operator-records-reader"
    assert not any("aggregate" in label for label in role["metadata"]["labels"])
    bound = {each["roleRef"]["name"] for each in helm.objects(*ENABLED) if "roleRef" in each}
    assert role["metadata"]["name"] not in bound


def test_its_pods_are_restricted(helm: Helm) -> None:
    found = pod(helm)
    [container] = found["containers"]
    assert found["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert not any("hostPath" in each for each in found["volumes"])


def test_whom_it_answers_and_where_it_connects_to_is_the_values_to_say(helm: Helm) -> None:
    def policy(*values: str) -> dict[str, Any]:
        found: dict[str, Any] = only(helm.objects(*ENABLED, *values), "NetworkPolicy", "-reader")["spec"]
        return found

    assert policy()["ingress"] == [{"ports": [{"port": "records"}]}, {"ports": [{"port": "metrics"}]}]
    assert policy()["egress"] == [{}]
    named = policy("reader.from[0].podSelector.matchLabels.app=ingress", "reader.egress[0].ports[0].port=9428")
    assert named["ingress"][0]["from"] == [{"podSelector": {"matchLabels": {"app": "ingress"}}}]
    assert named["egress"] == [{"ports": [{"port": 9428}]}]


def test_its_rights_are_those_with_which_it_was_attacked(helm: Helm) -> None:
    roles = {
        each["metadata"]["name"]: each["rules"] for each in helm.objects(*ENABLED) if each["kind"] == "ClusterRole"
    }
    assert roles["audit-operator-reader"] == READERS_RIGHTS
    assert roles["audit-operator-records-reader"] == [READ_RECORDS]


def test_a_certificate_is_asked_of_cert_manager_only_with_an_issuer(helm: Helm) -> None:
    assert not [each for each in helm.objects(*ENABLED) if each["kind"] == "Certificate"]
    issued = helm.objects(*ENABLED, "reader.certificate.issuerRef.name=ca", "reader.certificate.dnsNames={a.example}")
    certificate = only(issued, "Certificate")["spec"]
    assert certificate["dnsNames"] == [f"audit-operator-reader.{NAMESPACE}.svc", "a.example"]
    assert certificate["secretName"] == "audit-operator-reader"


def test_it_is_scraped_where_there_is_somebody_to_do_so(helm: Helm) -> None:
    objects = helm.objects(*ENABLED, "metrics.podMonitor.enabled=true", api_versions=[MONITORING])
    monitor = only(objects, "PodMonitor", "-reader")["spec"]
    labels = only(objects, "Deployment", "-reader")["spec"]["template"]["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
