"""The sealer and the verifier as the chart installs them."""

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


VERIFIER = ("verifier.enabled=true", *ENABLED[1:])


def pod(helm: Helm, *values: str, name: str = "sealer") -> dict[str, Any]:
    job = only(helm.objects(*ENABLED, *values), "CronJob", f"-{name}")
    found: dict[str, Any] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return found


def test_the_command_line_takes_its_arguments_and_finds_its_files(
    helm: Helm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Up to the bucket, which is not there."""
    [container] = pod(helm, "sealer.late=6h", "sealer.cluster=edge", "sealer.formerKeys={old.pub}")["containers"]
    keys = {"seal.pem": SigningKey.make().pem(), "old.pub": SigningKey.make().public.pem()}
    assert _run(helm, container, keys, tmp_path) == 1
    assert "ClusterAuditSink central: no connection to the store" in capsys.readouterr().err


def test_the_command_line_of_the_verifier_takes_its_arguments_and_finds_its_files(
    helm: Helm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = (
        "verifier.publicKeys={seal.pem.pub,old.pub}",
        "verifier.turn=120h",
        "verifier.erasureKeys={erase.pub}",
        f"verifier.accept={{{'a' * 64}}}",
    )
    [container] = pod(helm, "verifier.enabled=true", "sealer.cluster=edge", *values, name="verifier")["containers"]
    keys = {"verify.pem": SigningKey.make().pem()}
    keys |= {name: SigningKey.make().public.pem() for name in ("seal.pem.pub", "old.pub", "erase.pub")}
    assert _run(helm, container, keys, tmp_path) == 1
    said = capsys.readouterr()
    assert "ClusterAuditSink/central, cluster edge: not everything was verified: no connection" in said.err
    assert "not verified whole" in said.out


def _run(helm: Helm, container: dict[str, Any], keys: dict[str, bytes], folder: Path) -> int:
    """The command that a container runs, with its files; gives the exit status."""
    mounts = {each["name"]: each["mountPath"].removeprefix("/etc/") for each in container["volumeMounts"]}
    objects = only(helm.objects(*ENABLED), "ConfigMap", "-sealer")["data"]["sinks.yaml"]
    for place, name, content in (
        *(("key", *each) for each in keys.items()),
        ("sinks", "sinks.yaml", objects.encode()),
        ("secret-bucket", "accessKeyID", b"AKIATEST"),
        ("secret-bucket", "secretAccessKey", b"hunter2"),
    ):
        (folder / mounts[place]).mkdir(parents=True, exist_ok=True)
        (folder / mounts[place] / name).write_bytes(content)
    return main([each.replace("/etc/", f"{folder}/") for each in container["args"]])


def test_it_may_do_nothing_in_the_cluster(helm: Helm) -> None:
    objects, found = helm.objects(*ENABLED), pod(helm)
    assert (found["serviceAccountName"], found["automountServiceAccountToken"]) == ("audit-operator-sealer", False)
    assert only(objects, "ServiceAccount", "-sealer")["automountServiceAccountToken"] is False
    assert rights(objects, "audit-operator-sealer") == {}
    both = helm.objects(*ENABLED, "verifier.enabled=true")
    assert pod(helm, "verifier.enabled=true", name="verifier")["automountServiceAccountToken"] is False
    assert rights(both, "audit-operator-verifier") == {}
    assert rights(objects, "audit-operator") == OPERATOR


def test_only_one_runs_at_a_time_and_its_key_is_for_it_alone(helm: Helm) -> None:
    objects = helm.objects(*ENABLED, "sealer.keySecret=my-key")
    assert only(objects, "CronJob", "-sealer")["spec"]["concurrencyPolicy"] == "Forbid"
    named = [str(each["metadata"]["name"]) for each in objects if "my-key" in str(each)]
    assert named == ["audit-operator-sealer"]  # the CronJob


def test_what_it_needs_is_said(helm: Helm) -> None:
    for one in ("sealer", "verifier"):
        assert "need sealer.sink and sealer.seals" in helm.template(f"{one}.enabled=true", check=False)
    elsewhere = "sealer.seals.credentials.secretRef.namespace=elsewhere"
    assert f"must be in namespace {NAMESPACE}" in helm.template(*ENABLED, elsewhere, check=False)


def test_it_reaches_what_values_say(helm: Helm) -> None:
    def egress(*values: str) -> Any:
        return only(helm.objects(*ENABLED, *values), "NetworkPolicy", "-sealer")["spec"]["egress"]

    assert egress() == [{}]
    assert egress("sealer.egress[0].ports[0].port=9428") == [{"ports": [{"port": 9428}]}]


def test_a_verifier_runs_without_a_sealer_of_the_same_chart_and_never_sees_the_key_of_seals(helm: Helm) -> None:
    objects = helm.objects(*VERIFIER)
    job = only(objects, "CronJob", "-verifier")["spec"]
    assert job["jobTemplate"]["spec"]["backoffLimit"] == 0  # what it found, it would find again
    assert [each for each in objects if each["kind"] == "CronJob"] == [only(objects, "CronJob", "-verifier")]
    assert only(objects, "ConfigMap", "-sealer")
    verifier = only(helm.objects(*ENABLED, "verifier.enabled=true"), "CronJob", "-verifier")
    assert "audit-operator-sealer'" not in str(
        verifier["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"][0]
    )
    policy = only(helm.objects(*VERIFIER, "verifier.egress[0].ports[0].port=9428"), "NetworkPolicy", "-verifier")
    assert policy["spec"]["egress"] == [{"ports": [{"port": 9428}]}]
    assert policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "verifier"
