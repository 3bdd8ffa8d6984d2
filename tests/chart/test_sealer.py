"""The sealer as the chart installs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.cli import main
from audit_operator.integrity.keys import SigningKey
from tests.chart.helm import NAMESPACE
from tests.chart.test_gateway import only
from tests.chart.test_rights import OPERATOR, rights

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.chart.helm import Helm

ENABLED = (
    "sealer.enabled=true",
    "sealer.sink.type=VictoriaLogs",
    "sealer.sink.victoriaLogs.url=http://victoria-logs:9428",
    "sealer.seals.type=S3",
    "sealer.seals.s3.bucket=audit-seals",
    "sealer.seals.s3.endpoint=http://127.0.0.1:1",
    "sealer.seals.credentials.type=AccessKey",
    f"sealer.seals.credentials.secretRef.namespace={NAMESPACE}",
    "sealer.seals.credentials.secretRef.name=bucket",
)


def pod(helm: Helm, *values: str) -> dict[str, Any]:
    job = only(helm.objects(*ENABLED, *values), "CronJob", "-sealer")
    found: dict[str, Any] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return found


def test_the_command_line_takes_its_arguments_and_finds_its_files(
    helm: Helm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Up to the bucket, which is not there."""
    [container] = pod(helm, "sealer.late=6h", "sealer.cluster=edge", "sealer.formerKeys={old.pub}")["containers"]
    mounts = {each["name"]: each["mountPath"].removeprefix("/etc/") for each in container["volumeMounts"]}
    key, former = SigningKey.make(), SigningKey.make().public
    objects = only(helm.objects(*ENABLED), "ConfigMap", "-sealer")["data"]["sinks.yaml"]
    for place, name, content in (
        ("key", "seal.pem", key.pem()),
        ("key", "old.pub", former.pem()),
        ("sinks", "sinks.yaml", objects.encode()),
        ("secret-bucket", "accessKeyID", b"AKIATEST"),
        ("secret-bucket", "secretAccessKey", b"hunter2"),
    ):
        (tmp_path / mounts[place]).mkdir(parents=True, exist_ok=True)
        (tmp_path / mounts[place] / name).write_bytes(content)
    assert main([each.replace("/etc/", f"{tmp_path}/") for each in container["args"]]) == 1
    assert "ClusterAuditSink central: no connection to the store" in capsys.readouterr().err


def test_it_may_do_nothing_in_the_cluster(helm: Helm) -> None:
    objects, found = helm.objects(*ENABLED), pod(helm)
    assert (found["serviceAccountName"], found["automountServiceAccountToken"]) == ("audit-operator-sealer", False)
    assert only(objects, "ServiceAccount", "-sealer")["automountServiceAccountToken"] is False
    assert rights(objects, "audit-operator-sealer") == {}
    assert rights(objects, "audit-operator") == OPERATOR


def test_only_one_runs_at_a_time_and_its_key_is_for_it_alone(helm: Helm) -> None:
    objects = helm.objects(*ENABLED, "sealer.keySecret=my-key")
    assert only(objects, "CronJob", "-sealer")["spec"]["concurrencyPolicy"] == "Forbid"
    named = [str(each["metadata"]["name"]) for each in objects if "my-key" in str(each)]
    assert named == ["audit-operator-sealer"]  # the CronJob


def test_what_it_needs_is_said(helm: Helm) -> None:
    assert "needs sealer.sink and sealer.seals" in helm.template("sealer.enabled=true", check=False)
    elsewhere = "sealer.seals.credentials.secretRef.namespace=elsewhere"
    assert f"must be in namespace {NAMESPACE}" in helm.template(*ENABLED, elsewhere, check=False)


def test_it_reaches_what_values_say(helm: Helm) -> None:
    def egress(*values: str) -> Any:
        return only(helm.objects(*ENABLED, *values), "NetworkPolicy", "-sealer")["spec"]["egress"]

    assert egress() == [{}]
    assert egress("sealer.egress[0].ports[0].port=9428") == [{"ports": [{"port": 9428}]}]
