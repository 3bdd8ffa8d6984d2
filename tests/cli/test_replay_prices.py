"""`replay` with prices, as its user sees it."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from audit_operator.cli import main
from audit_operator.cli.replay_prices import _span
from audit_operator.integrity.interval import Interval
from audit_operator.replay.cells import Cells
from audit_operator.replay.vocabulary import vocabulary_of
from tests.replay.logs import event, line

API = "audit-operator.dev/v1alpha1"
SIZE = 10_000_000


def thing(kind, name, spec, namespace=""):
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}


def refs(*names):
    return [{"kind": "ClusterAuditSink", "name": name} for name in names]


RULES = [{"level": "Metadata"}]
OBJECTS = [
    thing("ClusterAuditSink", "central", {"type": "VictoriaLogs", "victoriaLogs": {"url": "https://logs.example:9428"}}),
    thing("ClusterAuditSink", "worm", {"type": "VictoriaLogs", "victoriaLogs": {"url": "https://worm.example:9428"}}),
    thing("ClusterAuditPolicy", "baseline", {"rules": RULES, "sinkRefs": refs("central")}),
    thing("AuditPolicy", "pci", {"rules": RULES, "sinkRefs": refs("worm"), "retention": {"minimum": "10d"}}, "pay"),
]  # fmt: skip


def padded(namespace, time):
    """An event of SIZE bytes, at Metadata, at that time."""
    made = event("get", f"/api/v1/namespaces/{namespace}/secrets/x", "alice")
    made |= {"stageTimestamp": time, "level": "Metadata", "annotations": {"x": ""}}
    made["annotations"]["x"] = "y" * (SIZE - len(line(made)))
    return made


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "audit.log"
    events = [padded("pay", "2026-03-01T00:00:00.000000Z"), padded("web", "2026-03-02T00:00:00.000000Z")]
    path.write_bytes(b"".join(map(line, events)))
    return str(path)


@pytest.fixture
def objects(tmp_path):
    path = tmp_path / "objects.yaml"
    path.write_text(yaml.safe_dump_all(OBJECTS))
    return str(path)


def costs(capsys, *arguments):
    assert main(["replay", "--jobs", "1", "-o", "json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)["cost"]


def test_each_sink_costs_what_comes_to_it_and_is_kept_there(log, objects, capsys):
    found = costs(
        capsys, log, "-f", objects, "--price", "central=1/GB", "--price", "worm=2/GB,100/GB-month", "--currency", "EUR"
    )
    assert (found["currency"], found["hours"]) == ("EUR", 24.0)
    central, worm = found["sinks"]
    assert central["month"] == {"ingested": 0.6, "kept": None, "bytesKeptUnknown": 0, "bytesKeptAtLeast": 0}
    # A minimum says when records may be deleted at the earliest, and not that they are.
    assert worm["month"] == {"ingested": 0.6, "kept": 10.0, "bytesKeptUnknown": 0, "bytesKeptAtLeast": SIZE}
    assert worm["price"] == {"ingested": 2.0, "keptForAMonth": 100.0}
    assert found["namespaces"] == {"pay": 10.9, "web": 0.3}
    assert sum(each["cost"] for each in found["rules"]) == pytest.approx(11.2)


def test_a_person_sees_what_is_in_no_figure(log, objects, capsys):
    assert main(["replay", "--jobs", "1", log, "-f", objects, "--price", "central=1/GB,1/GB-month"]) == 0
    out = capsys.readouterr().out
    assert "a month like these 24.0 hours costs" in out
    assert "worm: no price was given (--price worm=...), so it is in none of these figures" in out
    assert "central: how long all of it is kept, no policy says" in out
    assert (
        main(["replay", "--jobs", "1", log, "-f", objects, "--price", "central=1/GB,1/GB-month", "--kept", "30d"]) == 0
    )
    assert "no policy says" not in capsys.readouterr().out


def test_prices_come_from_a_file_and_a_policy_alone_goes_to_each_sink(log, tmp_path, capsys):
    (tmp_path / "prices.yaml").write_text("a: 1/GB\nb: 2/GB\n")
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": RULES}
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy))
    found = costs(capsys, log, "--policy", str(tmp_path / "policy.yaml"), "--prices", str(tmp_path / "prices.yaml"))
    assert {each["sink"]: each["log"] for each in found["sinks"]} == {"a": 0.02, "b": 0.04}


def test_an_envelope_is_said_to_be_more_than_what_is_shipped(log, objects, capsys):
    assert (
        main(["replay", "--jobs", "1", log, "-f", objects, "--price", "central=1/GB", "--precision", "Envelope"]) == 0
    )
    assert "shippers send less of it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--price", "central"], "write it as SINK=PRICE"),
        (["--price", "central=1"], "is no price"),
        (["--price", "central=1/GB", "--price", "central=2/GB"], "has two prices"),
        (["--price", "elsewhere=1/GB"], "nothing goes to a sink elsewhere; sinks that get something: central, worm"),
        (["--kept", "soon", "--price", "central=1/GB"], "is no age"),
        (["--prices", "/dev/null"], "write a mapping"),
        (["--prices", "/nowhere/prices.yaml"], "cannot read /nowhere/prices.yaml: No such file or directory"),
    ],
)
def test_what_is_no_price_is_wrong_usage(log, objects, capsys, options, said):
    try:
        status = main(["replay", "--jobs", "1", log, "-f", objects, *options])
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    assert said in capsys.readouterr().err


def test_prices_that_are_no_yaml_are_named_with_the_line(log, objects, tmp_path, capsys):
    (tmp_path / "prices.yaml").write_text("central: 1/GB\nworm: [\n")
    assert main(["replay", log, "-f", objects, "--prices", str(tmp_path / "prices.yaml")]) == 2
    err = capsys.readouterr().err
    assert "prices.yaml:3: " in err
    assert "mapping" not in err


NOW = datetime(2026, 3, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "first", "last", "expected"),
    [
        (24, 23.5, 1, (24, 0)),
        (720, 24, 1, (24, 696)),  # the sink is a day old
        (168, 167, 166.5, (168, 0)),  # a burst, and then nothing: that is a week all the same
        (168, 100, 99.5, (100, 68)),
        (168, 0.5, 0.1, (None, 167.5)),
        (None, 24, 1, (23, 0)),
        (None, 1, 0.5, (None, 0)),
    ],
)
def test_a_month_is_reckoned_from_the_time_that_a_sink_has_records_of(asked, first, last, expected):
    span = asked and Interval(NOW - timedelta(hours=asked), NOW)
    times = [(NOW - timedelta(hours=each)).isoformat() for each in (first, last)]
    cells = Cells(vocabulary_of([]), first=times[0], last=times[1])
    assert _span(argparse.Namespace(span=span), cells) == expected


def test_a_sink_that_is_younger_than_what_was_asked_for_is_not_cheap(tmp_path, capsys):
    now = datetime.now(UTC)
    for hours in (20, 2):
        time = now - timedelta(hours=hours)
        text = json.dumps({**event(), "stageTimestamp": f"{time:%Y-%m-%dT%H:%M:%S.%fZ}"})
        own = {"@timestamp": f"{time:%Y-%m-%dT%H:%M:%S.%fZ}", "event": text, "verb": "get", "namespace": "web"}
        (tmp_path / "web").mkdir(exist_ok=True)
        with (tmp_path / "web" / f"{time:%Y-%m-%d}.jsonl").open("a") as file:
            file.write(json.dumps(own, separators=(",", ":")) + "\n")
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": RULES}
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy))
    asked = ["replay", "--files", str(tmp_path), "--policy", str(tmp_path / "policy.yaml"), "--price", "central=1/GB"]
    assert main([*asked, "--since", "30d"]) == 0
    out = capsys.readouterr().out
    assert "a month like these 20.0 hours costs" in out
    assert "the first record is 700.0 hours later than was asked for" in out
