"""The command line against a cluster, also as a kubectl plug-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from audit_operator.cli import main
from tests.integration.conftest import install_crds
from tests.integration.control_plane import RunningControlPlane
from tests.integration.operator_process import thing

EXEC = {"name": "exec", "preset": "Exec"}


@pytest.fixture(scope="module")
def cluster(assets):
    control_plane = RunningControlPlane(assets)
    with control_plane.plane:
        install_crds(control_plane)
        control_plane.create_namespace("payments", {"tier": "prod"})
        control_plane.create_namespace("lab")
        selector = {"namespaceSelector": {"matchLabels": {"tier": "prod"}}, "rules": [{"level": "RequestResponse"}]}
        control_plane.apply(
            thing("ClusterAuditPolicy", "standard", {"rules": [{"level": "Metadata"}]}),
            thing("ClusterAuditPolicy", "production", {**selector, "scopes": ["Namespaced"]}),
            thing("AuditPolicy", "own", {"rules": [{"level": "Request"}], "detections": [EXEC]}, "lab"),
        )
        yield control_plane


def test_a_clusters_objects_and_namespaces_are_compiled(cluster, capsys):
    assert main(["compile", "--kubeconfig", str(cluster.kubeconfig())]) == 0
    rules = yaml.safe_load(capsys.readouterr().out)["rules"]
    assert {"level": "RequestResponse", "namespaces": ["payments"]} in rules
    assert {"level": "Request", "namespaces": ["lab"]} in rules
    assert rules[-1] == {"level": "Metadata"}


def test_a_folder_is_compared_with_the_cluster(cluster, tmp_path, capsys):
    (tmp_path / "p.yaml").write_text(
        json.dumps(thing("ClusterAuditPolicy", "standard", {"rules": [{"level": "None"}]}))
    )
    arguments = ["diff", "--to", str(tmp_path), "--kubeconfig", str(cluster.kubeconfig()), "--fail-on", "worse"]
    assert main(arguments) == 1
    assert "worse authn-failure-401: Covered -> Gap" in capsys.readouterr().out


def test_alerts_are_made_of_the_detections_that_a_cluster_has(cluster, capsys):
    assert main(["detections", "rules", "--kubeconfig", str(cluster.kubeconfig())]) == 0
    [group] = yaml.safe_load(capsys.readouterr().out)["groups"]
    assert group["name"] == "audit-detections AuditPolicy lab/own"
    assert {each["labels"]["detection_name"] for each in group["rules"]} == {"exec"}


def test_it_is_a_kubectl_plug_in(cluster):
    # The scripts are installed beside the interpreter.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(  # noqa: S603 - our own kubectl
        [cluster.assets.kubectl, "audit-policy", "coverage", "-n", "payments", "-o", "json"],
        env={**os.environ, "PATH": path, "KUBECONFIG": str(cluster.kubeconfig())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["summary"]["leaks"] > 0


def test_a_report_of_a_cluster_has_its_namespaces_and_claims_nothing_that_no_operator_has_said(cluster, capsys):
    assert main(["report", "--kubeconfig", str(cluster.kubeconfig()), "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    places = [each.get("namespaces", ["(cluster)"]) for each in found["groups"]]
    assert places[0] == ["(cluster)"]
    assert ["lab"] in places
    assert ["payments"] in places
    assert any({"default", "kube-public"} <= set(each) for each in places)
    assert [each["observed"] for each in found["policies"]] == [False] * 3


def test_where_no_operator_has_said_anything_no_control_passes(cluster, capsys):
    assert main(["compliance", "--kubeconfig", str(cluster.kubeconfig()), "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["asWritten"] is False
    verdicts = {each["verdict"] for framework in found["frameworks"] for each in framework["controls"]}
    assert verdicts == {"Fail", "CannotBeJudged"}


def test_an_api_server_takes_verdicts_as_report_objects_and_drops_no_field_of_them(cluster, tmp_path, capsys):
    folder = Path(__file__).parent / "open_reports"
    cluster.kubectl("apply", "--server-side", "-f", str(folder))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(folder))
    for namespace, path in (("", "clusterreports"), ("payments", "namespaces/payments/reports")):
        arguments = ["compliance", "--kubeconfig", str(cluster.kubeconfig()), "-o", "openreports"]
        assert main([*arguments, *(["-n", namespace] if namespace else [])]) == 0
        printed = capsys.readouterr().out
        (tmp_path / "report.json").write_text(printed)
        cluster.kubectl("apply", "--server-side", "--validate=strict", "-f", str(tmp_path / "report.json"))
        stored = cluster.get(f"/apis/openreports.io/v1alpha1/{path}/audit-operator-compliance")
        wanted = json.loads(printed)
        assert {name: stored[name] for name in ("source", "summary", "results")} == {
            name: wanted[name] for name in ("source", "summary", "results")
        }


def test_a_cluster_that_does_not_answer_is_wrong_usage(tmp_path, capsys):
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "x", "user": {"token": "t"}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    assert main(["compile", "--kubeconfig", str(tmp_path / "config")]) == 2
    assert "cannot read the cluster" in capsys.readouterr().err
