"""`detections` as people and scripts use it."""

from __future__ import annotations

import gzip
import json

import pytest

from audit_operator.cli import main
from audit_operator.cli.detection_history import EXAMPLES

POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
FALCO = """
- rule: Privileged pod
  source: k8s_audit
  condition: ka.verb=create and ka.target.resource=pods and ka.req.pod.containers.privileged intersects (true)
- rule: Secret read
  source: k8s_audit
  condition: ka.verb=get and ka.target.resource=secrets
"""
SIGMA = """
title: Odd
logsource: {product: kubernetes, service: audit}
detection:
    s: {nothing: x}
    condition: s
"""
ELASTIC = """
[rule]
name = "Denied"
type = "query"
language = "kuery"
query = "kubernetes.audit.annotations.authorization_k8s_io/decision: forbid and kubernetes.audit.verb: delete"
"""


@pytest.fixture
def command(tmp_path):
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "falco.yaml").write_text(FALCO)
    for name, text in (("sigma/a/odd.yml", SIGMA), ("elastic/denied.toml", ELASTIC)):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    packs = ["--falco", "falco.yaml", "--sigma", "sigma", "--elastic", "elastic"]
    paths = [each if each.startswith("--") else str(tmp_path / each) for each in packs]
    return ["detections", "check", "--policy", str(tmp_path / "policy.yaml"), *paths]


def test_rules_are_judged_and_changes_are_suggested(command, capsys):
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("cannot fire ")
    assert (
        "Privileged pod  create pods by somebody is recorded at Metadata (rules[0]); it needs level Request" in lines[0]
    )
    assert lines[1] == "    - level: Request"
    assert lines[-1] == "4 rules: 1 cannot fire, 1 cannot be judged, 2 can fire"


def test_scripts_get_the_witness_and_the_change(command, capsys):
    assert main([*command, "-o", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["summary"]["cannot fire"] == 1
    rules = {each["rule"]: each for each in report["rules"]}
    assert rules["Secret read"]["witness"]["objectRef"]["resource"] == "secrets"
    assert rules["Privileged pod"]["suggestion"].startswith("- level: Request")
    assert rules["Odd"]["reason"] == "s: nothing: audit events have no field nothing"


def test_ci_can_fail_on_what_cannot_fire(command):
    assert main([*command, "--fail-on", "cannot"]) == 1
    assert main([*command, "--fail-on", "never"]) == 0


def test_no_rules_are_wrong_usage(command, capsys):
    assert main(command[:4]) == 2
    assert "pass some with --falco" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("# rules\n- rule: [\n", "bad.yaml holds no rules of Falco: no YAML: line 3: "),
        ("title: x\ndate: *nowhere\n", "bad.yaml holds no rules of Sigma: no YAML: line 2: "),
        ("title: x\na: \x01\n", "bad.yaml holds no rules of Sigma: no YAML: line 2: "),
        ("date: 2026-13-01\n", "bad.yaml holds no rules of Sigma: no YAML: month must be"),
        ("[rule]\nname = \n", "bad.yaml holds no rules of Elastic: no TOML: Invalid value (at line 2"),
    ],
)
def test_a_file_that_is_no_pack_of_rules_is_named_with_the_line(command, tmp_path, capsys, content, said):
    pack = said.split(":")[0].split()[-1].lower()
    (tmp_path / "bad.yaml").write_text(content)
    assert main([*command, f"--{pack}", str(tmp_path / "bad.yaml")]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("pack", ["falco", "sigma", "elastic"])
def test_a_pack_without_any_rule_is_named(command, tmp_path, capsys, pack):
    (tmp_path / "empty.yaml").touch()
    (tmp_path / "folder").mkdir()
    name = pack.capitalize()
    for path, said in (
        ("empty.yaml", f"there is no rule of {name} about Kubernetes' audit log in"),
        ("folder", f"there is no file of rules of {name} in"),
    ):
        assert main([*command, f"--{pack}", str(tmp_path / path)]) == 2
        assert f"{said} {tmp_path / path}" in capsys.readouterr().err


def event(second, code, **more):
    time = f"2026-11-28T12:00:{second:02}.000000Z"
    base = {"kind": "Event", "stage": "ResponseComplete", "stageTimestamp": time, "auditID": f"id-{second}"}
    base |= {"verb": "get", "user": {"username": "mallory"}, "sourceIPs": ["192.0.2.7"], "requestURI": "/api/v1/pods"}
    return json.dumps({**base, "responseStatus": {"code": code}, **more})


@pytest.fixture
def logs(tmp_path):
    """Of two API servers; neither alone has seen enough."""
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "one.log").write_text("".join(event(each, 403) + "\n" for each in range(0, 30, 2)))
    with gzip.open(folder / "two.log.gz", "wt") as stream:
        stream.write("".join(event(each, 403) + "\n" for each in range(1, 30, 2)))
    return folder


def test_the_example_of_the_help_is_one_that_works(logs, tmp_path, capsys):
    lines = EXAMPLES.partition("A file of detections:\n")[2].partition("\n\n")[0].split("\n")
    (tmp_path / "ours.yaml").write_text("\n".join(line[2:] for line in lines))
    assert main(["detections", "test", str(logs), "--own", str(tmp_path / "ours.yaml")]) == 0
    assert capsys.readouterr().out == "30 events; detections fired 0 times\n"


def test_refusals_of_several_servers_are_counted_together(logs, capsys):
    assert main(["detections", "test", str(logs)]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first == (
        "Medium    forbidden-burst  User=mallory Source=192.0.2.7  2026-11-28T12:00:00Z to 2026-11-28T12:00:29Z  "
        "30 events (audit IDs id-17, id-18, id-19)"
    )
    assert last == "30 events; detections fired 1 times"
    assert main(["detections", "test", str(logs / "one.log"), "-o", "json", "--fail-on", "low"]) == 0
    assert json.loads(capsys.readouterr().out)["fired"] == []
    assert main(["detections", "test", str(logs), "--fail-on", "high"]) == 0
    assert main(["detections", "test", str(logs), "--fail-on", "medium"]) == 1


def test_live_probes_fire_nothing_and_are_said_to_be_left_out(tmp_path, capsys):
    probes = {"user": {"username": "system:serviceaccount:audit-operator:audit-operator-prober"}}
    secrets = [{"objectRef": {"resource": "secrets", "name": f"probe-{each}"}} for each in range(40)]
    log = tmp_path / "probes.log"
    log.write_text("".join(event(each, 403, **probes, **secrets[each]) + "\n" for each in range(40)))
    assert main(["detections", "test", str(log)]) == 0
    said = ["40 events of live probes were left out", "40 events; detections fired 0 times"]
    assert capsys.readouterr().out.splitlines() == said
    for other in ("system:serviceaccount:elsewhere:prober", ""):
        assert main(["detections", "test", str(log), "-o", "json", "--prober", other]) == 0
        report = json.loads(capsys.readouterr().out)
        assert {each["detection"] for each in report["fired"]} == {"forbidden-burst", "secret-enumeration"}
        assert report["eventsOfProbes"] == 0
    assert main(["detections", "test", str(log), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["eventsOfProbes"] == 40


def test_lines_that_are_no_events_are_counted_and_fail(logs, capsys):
    (logs / "three.log").write_text('{"kind": "Event"\n' + '{"kind": "Event", "verb": "get"}\n')
    (logs / "two.log.gz").write_bytes((logs / "two.log.gz").read_bytes()[:-9])
    assert main(["detections", "test", str(logs)]) == 1
    out = capsys.readouterr().out
    assert "2 lines are no audit events with a time" in out
    assert "two.log.gz: cannot be unpacked" in out


def record(text):
    return json.dumps({"time": json.loads(text)["stageTimestamp"], "attributes": {"verb": "get"}, "text": text}) + "\n"


def end(*, complete):
    return json.dumps({"end": {"records": 30, "copies": 0, "complete": complete}}) + "\n"


def test_what_a_query_has_printed_is_read_as_a_log(tmp_path, capsys):
    answer = tmp_path / "answer.ndjson"
    records = [record(event(each, 403)) for each in range(30)]
    answer.write_text("".join(records) + end(complete=True))
    assert main(["detections", "test", str(answer)]) == 0
    assert capsys.readouterr().out.endswith("30 events; detections fired 1 times\n")


@pytest.mark.parametrize(
    ("order", "last", "said"),
    [
        (1, end(complete=False), "the query has left records out"),
        (1, '{"error": {"status": 503, "message": "away"}}\n', "the query has left records out"),
        (1, "", "the query has left records out"),
        (1, '{"end": 3}\n', "the query has left records out"),
        (1, '{"end": null}\n', "the query has left records out"),
        (-1, end(complete=True), "ask the query for --order oldest"),
    ],
    ids=["limited", "broken off", "cut", "end is a number", "end is null", "newest first"],
)
def test_an_answer_that_detections_cannot_rely_on_is_said_and_fails(tmp_path, capsys, order, last, said):
    answer = tmp_path / "answer.ndjson"
    answer.write_text("".join([record(event(each, 403)) for each in range(30)][::order]) + last)
    assert main(["detections", "test", str(answer)]) == 1
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("last", [end(complete=False), '{"error": {"status": 503}}\n', '{"end": null}\n'])
def test_an_answer_that_broke_off_before_its_first_record_is_no_quiet_log(tmp_path, capsys, last):
    answer = tmp_path / "answer.ndjson"
    answer.write_text(last)
    assert main(["detections", "test", str(answer)]) == 1
    assert "the query has left records out" in capsys.readouterr().out
    answer.write_text(end(complete=True))
    assert main(["detections", "test", str(answer)]) == 0


def test_our_own_detections_are_checked_as_others_are(command, capsys):
    assert main([*command[:4], "--presets"]) == 0
    assert "cannot fire                   own      cluster-admin-binding" in capsys.readouterr().out


def test_detections_of_our_objects_look_into_their_own_namespace(logs, tmp_path, capsys):
    reference = {"resource": "pods", "namespace": "web"}
    (logs / "three.log").write_text(event(40, 200, objectRef=reference) + "\n")
    detection = {"name": "it", "selection": {"verbs": ["get"]}}
    for namespace in ("web", "other"):
        own = {"apiVersion": "audit-operator.dev/v1alpha1", "kind": "AuditPolicy"}
        own |= {"metadata": {"name": "own", "namespace": namespace}, "spec": {"preset": "Baseline"}}
        own["spec"]["detections"] = [detection]
        (tmp_path / f"{namespace}.json").write_text(json.dumps(own))
    files = [each for name in ("web", "other") for each in ("-f", str(tmp_path / f"{name}.json"))]
    assert main(["detections", "test", str(logs), *files]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert "AuditPolicy web/own: it" in first
    assert last == "31 events; detections fired 1 times"


def test_detections_of_our_objects_are_checked_against_what_the_objects_record(tmp_path, capsys):
    detections = [{"name": "exec", "preset": "Exec"}, {"name": "admin", "preset": "ClusterAdminBinding"}]
    own = {"apiVersion": "audit-operator.dev/v1alpha1", "kind": "AuditPolicy"}
    own |= {"metadata": {"name": "own", "namespace": "web"}}
    own["spec"] = {"rules": [{"level": "Metadata"}], "detections": detections}
    (tmp_path / "own.json").write_text(json.dumps(own))
    assert main(["detections", "check", "-f", str(tmp_path / "own.json"), "--fail-on", "cannot"]) == 1
    out = capsys.readouterr().out
    assert "AuditPolicy web/own: admin" in out.splitlines()[0]
    assert out.endswith("2 rules: 1 cannot fire, 1 can fire\n")
