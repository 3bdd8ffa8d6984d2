"""`permissions` over files, as people and scripts use it."""

from __future__ import annotations

import json

import pytest
import yaml

from audit_operator.cli import main
from tests.permissions.objects import binding, role, rule

PODS = rule("create", "pods")
DOCUMENTS = (
    role("part", rule("get", "pods/log secrets"), labels={"to-edit": "true"}),
    role("edit", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"to-edit": "true"}}]}),
    role("policies", rule("create", "auditpolicies", "audit-operator.dev")),
    role("admin", rule("*", "*", "*")),
    binding("devs", "edit", "Group dev", namespace="audit-operator"),
    binding("owners", "policies", "Group owners", namespace="payments"),
    binding("cluster-admin", "admin", "Group system:masters"),
    binding("boss", "admin", "User boss"),
)
NAMESPACES = tuple(
    {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    for name in ("audit-operator", "payments", "logs")
)
SINK = {
    "apiVersion": "audit-operator.dev/v1alpha1",
    "kind": "ClusterAuditSink",
    "metadata": {"name": "central"},
    "spec": {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://victoria-logs.logs:9428"}},
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rbac.yaml"
    path.write_text(yaml.safe_dump_all([*DOCUMENTS, *NAMESPACES, SINK]))
    return str(path)


def judged(capsys, *arguments):
    status = main(["permissions", "-o", "json", *arguments])
    return status, json.loads(capsys.readouterr().out)


def test_who_may_what_where_and_through_what_is_said_as_json(file, capsys):
    status, result = judged(capsys, "-f", file)
    assert status == 1
    assert set(result) == {"summary", "findings", "holdings", "unseen"}
    by_subject = {each["subject"]: each for each in result["findings"]}
    assert by_subject["Group dev"]["accesses"] == ["secrets", "pod-logs"]
    assert by_subject["Group dev"]["namespaces"] == ["audit-operator"]
    assert by_subject["Group dev"]["bindings"] == ["RoleBinding audit-operator/devs"]
    assert by_subject["Group dev"]["role"] == "ClusterRole edit"
    assert by_subject["Group dev"]["mend"]
    assert "Group owners" not in by_subject
    # Not the role that Kubernetes makes.
    assert "Group system:masters" in by_subject
    assert result["summary"]["write"] == {"subjects": 3, "unexpected": 2}
    assert any("system:masters" in each for each in result["unseen"])


def test_the_worst_is_first_and_says_what_mends_it(file, capsys):
    assert main(["permissions", "-f", file]) == 1
    output = capsys.readouterr().out
    assert output.startswith("error: ")
    assert "User boss, everywhere, through ClusterRoleBinding boss to ClusterRole admin, may" in output
    assert "mend: " in output
    assert "not to be seen here:" in output
    assert "owners" not in output
    assert main(["permissions", "-f", file, "--all"]) == 1
    assert "Group owners" in capsys.readouterr().out


def test_a_name_writes_nothing_of_its_own_to_a_terminal(tmp_path, capsys):
    named = binding("b", "admin", "User \x1b[2Jboss\nerror: User nobody")
    (tmp_path / "rbac.yaml").write_text(json.dumps({"kind": "List", "items": [DOCUMENTS[3], named]}))
    assert main(["permissions", "-f", str(tmp_path), "--all"]) == 1
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert not any(line.startswith("error: User nobody") for line in output.splitlines())


def test_those_who_are_meant_to_are_no_findings(file, capsys):
    meant = ["--expect", "User/boss", "--expect", "Group/system:masters", "--expect", "Group/dev"]
    assert main(["permissions", "-f", file, *meant]) == 0
    assert main(["permissions", "-f", file, *meant[:-2], "--fail-on", "info"]) == 1
    assert main(["permissions", "-f", file, "--fail-on", "never"]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "subjects"),
    [
        (["--subject", "Group/dev"], {"Group dev"}),
        (["--subject", "boss"], {"User boss"}),
        (["-n", "payments", "--effect", "write"], {"User boss", "Group system:masters", "Group owners"}),
        (["--access", "pod-logs"], {"User boss", "Group system:masters", "Group dev"}),
        (["--access", "reach-stores"], {"User boss", "Group system:masters"}),
        (["--effect", "disable"], {"User boss", "Group system:masters"}),
    ],
)
def test_filters(file, capsys, arguments, subjects):
    _, result = judged(capsys, "-f", file, *arguments)
    assert {each["subject"] for each in result["holdings"]} == subjects


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--access", "nothing"], "--accesses lists them"),
        (["--expect", "dev"], "is no subject"),
        (["--expect", "ServiceAccount/robot"], "is no subject"),
        (["-f", "nowhere.yaml"], "cannot read nowhere.yaml"),
    ],
)
def test_wrong_usage(file, capsys, arguments, said):
    given = [] if "-f" in arguments else ["-f", file]
    assert main(["permissions", *given, *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("text", ["rules: [", "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nrules: 7\n"])
def test_files_that_no_api_server_would_take_are_not_passed_over(tmp_path, capsys, text):
    (tmp_path / "broken.yaml").write_text(text)
    assert main(["permissions", "-f", str(tmp_path)]) == 2
    assert capsys.readouterr().err


def test_what_is_looked_for_can_be_listed(capsys):
    assert main(["permissions", "--accesses"]) == 0
    assert "run-pods: run or change pods there (Disable, Read, Write)" in capsys.readouterr().out
    assert main(["permissions", "--accesses", "-o", "json"]) == 0
    assert {"id", "reason", "mend", "places"} <= set(json.loads(capsys.readouterr().out)[0])
