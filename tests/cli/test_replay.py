"""`replay` as people and scripts use it."""

from __future__ import annotations

import json

import pytest
import yaml

from audit_operator.cli import main
from tests.replay.logs import event, line

HEADER = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x"


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "audit.log"
    events = [event("get", "/api/v1/namespaces/web/secrets/x", "alice")] * 2
    events += [event("update", LEASE, "system:kube-scheduler", [])] * 5
    events += [event("get", "/healthz", None, [])]
    path.write_bytes(b"".join(map(line, events)))
    return str(path)


@pytest.fixture
def policy(tmp_path):
    def write(rules, name="policy.yaml"):
        path = tmp_path / name
        path.write_text(HEADER + rules)
        return str(path)

    return write


def replayed(capsys, *arguments):
    status = main(["replay", "--jobs", "1", "-o", "json", *arguments])
    return status, json.loads(capsys.readouterr().out)


def test_what_is_missed_is_told_with_who_what_and_where(log, policy, capsys):
    file = policy("- level: None\n  resources:\n  - {group: '', resources: [secrets]}\n- level: Metadata\n")
    status, found = replayed(capsys, log, "--policy", file, "--fail-on", "missed")
    assert status == 1
    assert (found["log"]["events"], found["after"]["events"], found["missed"]["events"]) == (8, 6, 2)
    [what] = found["missed"]["what"]
    assert (what["user"], what["verb"], what["resource"], what["namespace"]) == ("alice", "get", "secrets", "web")
    assert [each["events"] for each in found["rules"]] == [0, 6]
    assert found["namespaces"]["web"]["after"]["events"] == 0


def test_two_policies_are_compared_with_each_other_and_not_with_the_log(log, policy, capsys):
    less = policy("- level: Metadata\n  users: [alice]\n", "less.yaml")
    nothing = policy("- level: None\n", "nothing.yaml")
    status, found = replayed(capsys, log, "--from-policy", less, "--policy", nothing)
    assert status == 0
    assert found["before"]["policy"] is True
    assert found["before"]["events"] == found["missed"]["events"] == 2


def test_noise_is_suggested_as_a_rule_that_can_be_pasted(log, policy, capsys):
    _, found = replayed(capsys, log, "--policy", policy("- level: Metadata\n"), "--suggest")
    [suggestion] = found["suggestions"]
    assert suggestion["events"] == 5
    assert yaml.safe_load(suggestion["rule"])[0]["users"] == ["system:kube-scheduler"]


def test_a_person_sees_the_same(log, policy, capsys):
    main(["replay", log, "--policy", policy("- level: Metadata\n  users: [alice]\n"), "--suggest", "--jobs", "1"])
    out = capsys.readouterr().out
    assert "8 events" in out
    assert "missed: 6 events" in out
    assert "system:kube-scheduler: update leases.coordination.k8s.io in kube-system" in out
    assert "(401): get /healthz" in out


def test_objects_are_compiled_and_asked(log, tmp_path, capsys):
    own = {"apiVersion": "audit-operator.dev/v1alpha1", "kind": "AuditPolicy"}
    own |= {"metadata": {"name": "own", "namespace": "web"}, "spec": {"rules": [{"level": "Metadata"}]}}
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "own.yaml").write_text(json.dumps(own))
    _, found = replayed(capsys, log, "-f", str(tmp_path / "objects"))
    assert found["after"]["events"] == 2


def test_lines_that_are_no_events_fail_the_command(tmp_path, policy, capsys):
    path = tmp_path / "audit.log"
    path.write_bytes(b"secret-text\n" + line(event()))
    status, found = replayed(capsys, str(path), "--policy", policy("- level: Metadata\n"))
    assert (status, found["log"]["unreadable"]) == (1, 1)
    assert main(["replay", str(path), "--policy", policy("- level: Metadata\n"), "--jobs", "1"]) == 1
    out = capsys.readouterr().out
    assert "1 lines are no events" in out
    assert "secret-text" not in out


@pytest.mark.parametrize(
    "arguments", [[], ["some.log", "--sink", "central"], ["--sink", "x", "--since", "1h", "--until", "2h"]]
)
def test_files_or_a_sink_and_a_time_that_there_is(arguments, policy, capsys):
    assert main(["replay", *arguments, "--policy", policy("- level: None\n")]) == 2
    assert "--s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "1h"], "--since: only for --sink and --files"),
        (["--until", "1h", "--cluster", "a"], "--cluster, --until: only for --sink and --files"),
        (["-n", "web"], "--namespace: only for --sink and --files"),
        (["--kept", "90d"], "--kept and --currency belong to --price"),
        (["--currency", "EUR"], "--kept and --currency belong to --price"),
    ],
)
def test_an_option_that_would_be_without_effect_is_wrong_usage(log, policy, capsys, arguments, said):
    assert main(["replay", log, "--policy", policy("- level: Metadata\n"), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_log_that_is_not_there_is_wrong_usage(tmp_path, policy, capsys):
    assert main(["replay", str(tmp_path / "absent"), "--policy", policy("- level: None\n")]) == 2
    assert "absent" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--suggest"], ["--price", "central=0.50/GB"]])
def test_an_empty_log_as_after_a_rotation_has_no_events(tmp_path, policy, capsys, more):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "audit.log").touch()
    for path in (tmp_path / "logs", tmp_path / "logs" / "audit.log"):
        assert main(["replay", str(path), "--policy", policy("- level: Metadata\n"), "--jobs", "2", *more]) == 0
        assert capsys.readouterr().out.startswith("0 events\n")
