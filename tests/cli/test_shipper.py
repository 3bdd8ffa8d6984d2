"""`shipper render`: two files that a collector runs with, and everything that is not shipped said."""

from __future__ import annotations

import pytest
import yaml

from audit_operator.cli import main

OBJECTS = """
apiVersion: v1
kind: Namespace
metadata: {name: payments}
---
apiVersion: audit-operator.dev/v1alpha1
kind: AuditPolicy
metadata: {name: pci, namespace: payments}
spec:
  rules: [{level: Request}]
  sinkRefs: [{kind: ClusterAuditSink, name: central}]
---
apiVersion: audit-operator.dev/v1alpha1
kind: ClusterAuditSink
metadata: {name: central}
spec:
  type: VictoriaLogs
  victoriaLogs: {url: "http://logs.audit:9428"}
  credentials: {type: Bearer, secretRef: {namespace: audit, name: token}}
"""


@pytest.fixture
def render(tmp_path, capsys):
    def render(objects, *options):
        (tmp_path / "objects.yaml").write_text(objects)
        arguments = ["shipper", "render", "-f", str(tmp_path / "objects.yaml"), "--output", str(tmp_path / "out")]
        status = main([*arguments, *options])
        return status, tmp_path / "out", capsys.readouterr().err

    return render


def test_the_configuration_reads_decides_and_writes_to_the_sink(render):
    status, folder, said = render(OBJECTS, "--cluster-name", "prod")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert status == 0
    assert config["exporters"]["otlp_http/clusterauditsink.central"]["logs_endpoint"].startswith(
        "http://logs.audit:9428"
    )
    assert config["processors"]["lookup"]["source"]["path"] == "/etc/audit-shipper/table.yaml"
    assert "namespace|payments" in yaml.safe_load((folder / "table.yaml").read_text())
    assert "needs /etc/audit-shipper-credentials/clusterauditsink.central/authorization" in said


def test_a_sink_that_does_not_exist_is_named_with_the_policy(render):
    missing = OBJECTS.replace("sinkRefs: [", "sinkRefs: [{kind: AuditSink, name: gone}, ")
    status, _, said = render(missing)
    assert status == 1
    assert "AuditPolicy payments/pci: error: spec.sinkRefs[0]: there is no AuditSink payments/gone" in said


def test_a_sink_that_the_collector_cannot_write_to_is_named(render):
    store = 'victoriaLogs: {url: "http://logs.audit:9428"}'
    status, folder, said = render(
        OBJECTS.replace("VictoriaLogs", "OTLP").replace(store, "otlp: {endpoint: http://x, protocol: GRPC}")
    )
    assert status == 1
    assert "ClusterAuditSink central: error: an address for OTLP over gRPC has a port and no path" in said
    assert (folder / "config.yaml").exists()


def test_without_a_sink_nothing_is_written(render):
    status, folder, said = render(OBJECTS.replace("  sinkRefs: [{kind: ClusterAuditSink, name: central}]\n", ""))
    assert status == 2
    assert not folder.exists()
    assert "spec.sinkRefs" in said


def test_keys_of_pseudonyms_are_made_once_and_nobody_else_reads_them(render):
    _, folder, _ = render(OBJECTS)
    assert not (folder / "pseudonyms.yaml").exists()
    wanted = OBJECTS.replace(
        "rules: [{level: Request}]", "rules: [{level: Request}]\n  redaction: {pseudonymize: [Username]}"
    )
    status, folder, _ = render(wanted)
    keys = (folder / "pseudonyms.yaml").read_text()
    assert status == 0
    assert yaml.safe_load(keys)["=payments"].keys() == {"id", "secret"}
    assert (folder / "pseudonyms.yaml").stat().st_mode & 0o777 == 0o600
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["processors"]["lookup/pseudonyms"]["source"]["path"] == "/etc/audit-shipper/pseudonyms.yaml"
    render(wanted)
    assert (folder / "pseudonyms.yaml").read_text() == keys
    (folder / "keyring.json.gz").write_bytes(b"broken")
    status, _, said = render(wanted)
    assert status == 2
    assert "keyring.json.gz holds no keys that can be read" in said


def test_a_node_must_be_named_to_run_a_shipper_on(monkeypatch, capsys):
    monkeypatch.delenv("AUDIT_OPERATOR_NODE", raising=False)
    assert main(["shipper", "run"]) == 2
    assert "AUDIT_OPERATOR_NODE" in capsys.readouterr().err


def test_what_cannot_be_tried_has_not_passed(render):
    status, folder, said = render(OBJECTS, "--try", "/nowhere/otelcol")
    assert status == 1
    assert (folder / "config.yaml").exists()
    assert "error: it could not be tried: [Errno 2] No such file or directory" in said
