"""`query`, `incident`, `replay`, `seal` and `verify` on the dated files of a folder, as their user sees them."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from audit_operator.cli import main
from tests.replay.logs import event

NOW = datetime.now(UTC)
POLICY = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}


def put(root, number, ago=timedelta(minutes=5), namespace="payments"):
    """One record, of an event that the API server could have written."""
    time = NOW - ago
    text = json.dumps({**event(), "auditID": f"id-{number}", "stageTimestamp": f"{time:%Y-%m-%dT%H:%M:%S.%fZ}"})
    own = {"auditID": f"id-{number}", "stage": "ResponseComplete", "namespace": namespace, "verb": "get"}
    document = {"@timestamp": f"{time:%Y-%m-%dT%H:%M:%S.%fZ}", "event": text, **own, "username": "jane"}
    path = root / namespace / f"{time:%Y-%m-%d}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(document, separators=(",", ":")) + "\n")
    return path


@pytest.fixture
def files(tmp_path):
    root = tmp_path / "files"
    for number in range(3):
        put(root, number)
    put(root, 9, namespace="shop")
    return root


@pytest.fixture
def sink(tmp_path):
    def written(kind="File", section=None):
        spec = {"type": kind, kind[0].lower() + kind[1:]: section or {"claimName": "audit"}}
        metadata = {"name": "central"}
        api = {"apiVersion": "audit-operator.dev/v1alpha1", "kind": "ClusterAuditSink"}
        (tmp_path / "sink.yaml").write_text(yaml.safe_dump({**api, "metadata": metadata, "spec": spec}))
        return str(tmp_path / "sink.yaml")

    return written


def test_a_folder_is_asked_without_a_cluster(files, capsys):
    assert main(["query", "-n", "payments", "--files", str(files), "-o", "ndjson"]) == 0
    *records, end = map(json.loads, capsys.readouterr().out.splitlines())
    assert sorted(each["auditID"] for each in records) == ["id-0", "id-1", "id-2"]
    assert end == {"end": {"records": 3, "copies": 0, "complete": True}}


def test_a_half_line_is_told_of_and_a_broken_one_makes_an_answer_that_is_not_whole(files, capsys):
    path = put(files, 3)
    with path.open("a") as file:
        file.write('{"@timestamp":"20')
    assert main(["query", "-n", "payments", "--files", str(files)]) == 0
    assert "1 last lines of files have no end" in capsys.readouterr().err
    with path.open("a") as file:
        file.write("\nno record\n")
    assert main(["query", "-n", "payments", "--files", str(files)]) == 1
    assert f"payments/{path.name}, from byte" in capsys.readouterr().err


def test_a_sink_of_type_file_is_asked_where_its_claim_is_mounted(files, sink, capsys):
    arguments = ["query", "-n", "payments", "-f", sink()]
    assert main(arguments) == 1
    assert "commands read it with --files" in capsys.readouterr().err
    assert main([*arguments, "--files", str(files)]) == 0
    other = sink("VictoriaLogs", {"url": "http://127.0.0.1:1"})
    assert main(["query", "-n", "payments", "-f", other, "--files", str(files)]) == 2
    assert main(["query", "-n", "payments", "--server", "https://x.example", "--files", str(files)]) == 2


def test_a_folder_that_holds_none_is_no_answer(tmp_path, capsys):
    assert main(["query", "-n", "payments", "--files", str(tmp_path)]) == 1
    assert "no dated files" in capsys.readouterr().err


def test_an_incident_is_collected_out_of_a_folder(files, sink, tmp_path, capsys):
    out = tmp_path / "case"
    assert main(["incident", "--user", "jane", "-n", "payments", "--files", str(files), "-o", str(out)]) == 0
    events = [json.loads(each) for each in (out / "events.ndjson").read_text().splitlines()]
    assert sorted(each["auditID"] for each in events) == ["id-0", "id-1", "id-2"]
    assert main(["incident", "--user", "jane", "--files", str(files), "-o", str(tmp_path / "other")]) == 2
    assert "say whose records" in capsys.readouterr().err
    named = ["incident", "--user", "jane", "-n", "shop", "--files", str(files), "-f", sink(), "-o", str(tmp_path / "b")]
    assert main(named) == 0
    assert '"central"' in (tmp_path / "b" / "events.ndjson").read_text()


def test_a_policy_is_asked_about_a_folder(files, tmp_path, capsys):
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    asked = ["replay", "--files", str(files), "--policy", str(tmp_path / "policy.yaml"), "-o", "json"]
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out)["log"]["events"] == 4
    assert main([*asked, "-n", "shop"]) == 0
    assert json.loads(capsys.readouterr().out)["log"]["events"] == 1
    assert main([*asked, str(files)]) == 2


def test_files_are_sealed_and_what_is_changed_or_taken_out_of_them_is_found(files, sink, tmp_path, capsys):
    path = put(files, 20, timedelta(hours=3))
    put(files, 21, timedelta(hours=3))
    assert main(["seal", "--new-key", str(tmp_path / "key.pem")]) == 0
    chain = ["central", "--seals", str(tmp_path / "seals"), "-f", sink(), "--files", str(files)]
    assert main(["seal", *chain, "--key", str(tmp_path / "key.pem"), "--new-chain", "--since", "6h"]) == 0
    verify = ["verify", *chain, "--public-key", str(tmp_path / "key.pem.pub"), "--since", "4h"]
    assert main(verify) == 0
    assert "2 records" in capsys.readouterr().out
    text = path.read_text()
    path.write_text(text.replace("id-20", "id-99"))
    assert main(verify) == 1
    assert "record" in capsys.readouterr().out
    path.write_text("".join(each for each in text.splitlines(keepends=True) if "id-21" not in each))
    assert main(verify) == 1
    path.write_text(text)
    assert main(verify) == 0
