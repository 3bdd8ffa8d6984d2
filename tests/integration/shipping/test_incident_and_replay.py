"""`incident` and `replay` on a real store."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from audit_operator.cli import main
from tests.integration.reading.records import record, write
from tests.integration.shipping.victoria_logs import victoria_logs
from tests.replay.logs import event

SECRET = "/api/v1/namespaces/shop/secrets/db"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("victoria-logs")
    with victoria_logs(folder) as url:
        sink = {
            "apiVersion": "audit-operator.dev/v1alpha1",
            "kind": "ClusterAuditSink",
            "metadata": {"name": "central"},
            "spec": {"type": "VictoriaLogs", "victoriaLogs": {"url": url}},
        }
        (folder / "sink.json").write_text(json.dumps(sink))
        yield url, str(folder / "sink.json")


def of(user, namespace="shop", ago=60.0, uri=SECRET, own=None, **more):
    whole = event("get", uri, user, **more)
    own = {"username": user, "name": "db", **(own or {})}
    return record(namespace, "x", ago=ago, event=whole, **own)


def test_an_incident_has_what_an_audit_id_leads_to_and_nothing_else(store, tmp_path):
    url, sink = store
    marked = str(uuid.uuid4())
    write(
        url,
        [
            of("o'neil", own={"auditID": marked}, impersonatedUser={"username": "root"}),
            of("mallory", ago=120, uri="/api/v1/namespaces/shop/pods/x", impersonatedUser={"username": "root"}),
            of("bystander", namespace="other"),
            of("o'neil", ago=7200),
        ],
    )
    folder = tmp_path / "case"
    assert main(["incident", "-f", sink, "-n", "shop", "--audit-id", marked, "-o", str(folder)]) == 0
    found = [json.loads(line) for line in (folder / "events.ndjson").read_text().splitlines()]
    assert [(each["attributes"]["username"], each["sinks"]) for each in found] == [
        ("mallory", ["central"]),
        ("o'neil", ["central"]),
    ]
    assert "names user root" in found[0]["why"]
    assert "o'neil as root get secrets db in shop" in (folder / "timeline.txt").read_text()


def test_what_came_before_shippers_had_seen_a_namespace_is_a_part_of_it(store, tmp_path):
    url, sink = store
    write(
        url,
        [of("mallory", namespace="", own={"unseen": "fresh"}), of("somebody", namespace="", own={"unseen": "other"})],
    )
    for number, arguments in enumerate((["-n", "fresh"], ["--object", "fresh/secrets/db"])):
        folder = tmp_path / str(number)
        assert main(["incident", "-f", sink, *arguments, "--since", "1h", "-o", str(folder)]) == 0
        [found] = [json.loads(line) for line in (folder / "events.ndjson").read_text().splitlines()]
        assert found["attributes"]["unseen"] == "fresh"


def test_a_replay_counts_what_a_store_has_of_a_namespace_each_record_once(store, tmp_path, capsys):
    url, sink = store
    records = [of("alice", namespace="counted", ago=60.0 + number) for number in range(50)]
    write(url, [*records, *records, of("alice", namespace="another")])
    policy = tmp_path / "policy.yaml"
    policy.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n  users: [alice]\n")
    arguments = ["--sink", "central", "-f", sink, "-n", "counted", "--policy", str(policy)]
    assert main(["replay", *arguments, "--since", "1h", "-o", "json", "--fail-on", "missed"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["log"]["events"], said["log"]["unreadable"], said["missed"]["events"]) == (50, 0, 50)


def put(root, each):
    """A record as a dated file has it (tools/otelcol/exporters/document)."""
    time = f"{each.time:%Y-%m-%dT%H:%M:%S.%fZ}"
    names = {"auditID": each.audit_id, "stage": each.stage, **each.attributes}
    path = root / each.attributes["namespace"] / f"{each.time:%Y-%m-%d}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps({"@timestamp": time, "event": each.text, **names}, separators=(",", ":")) + "\n")


def test_a_query_of_all_sinks_shows_what_an_incident_has_in_the_same_order(store, tmp_path, capsys):
    url, sink = store
    both = [of(f"user-{number % 3}", namespace="both", ago=60.0 + number // 4) for number in range(20)]
    own = [of("nobody", namespace="both", ago=62.5), of("nobody", namespace="both", ago=64.5)]
    write(url, [*both, own[0]])
    for each in (*reversed(both), both[3], own[1]):
        put(tmp_path / "files", each)
    files = json.loads(Path(sink).read_text()) | {"metadata": {"name": "files"}}
    files["spec"] = {"type": "File", "file": {"claimName": "audit"}}
    (tmp_path / "files.json").write_text(json.dumps(files))
    named = ["-n", "both", "--since", "1h", "-f", sink, "-f", str(tmp_path / "files.json")]
    named += ["--files", str(tmp_path / "files")]
    assert main(["incident", *named, "-o", str(tmp_path / "case")]) == 0
    capsys.readouterr()
    meant = [json.loads(line) for line in (tmp_path / "case" / "events.ndjson").read_text().splitlines()]
    assert len(meant) == 22
    assert {tuple(each["sinks"]) for each in meant} == {("central", "files"), ("central",), ("files",)}
    for each in meant:
        del each["sinks"], each["why"]
    for order in ("oldest", "newest"):
        assert main(["query", *named, "--all-sinks", "--order", order, "-o", "ndjson"]) == 0
        *shown, end = map(json.loads, capsys.readouterr().out.splitlines())
        assert shown == (meant if order == "oldest" else meant[::-1])
        assert end == {"end": {"records": 22, "copies": 1, "complete": True}}
    assert main(["query", *named]) == 2
    assert "or take --all-sinks: central, files" in capsys.readouterr().err
