"""From a request to Alertmanager, through everything that is between: and nothing of ordinary traffic gets there."""

from __future__ import annotations

import json
import shlex
import time

import pytest

from audit_operator.cli import main
from tests.integration.alerting import ATTACKS, USERS, alerting, of_start, ordinary_traffic
from tests.integration.operator_process import eventually

QUIET = 45.0
"""Seconds of ordinary traffic; docs/benchmarks.md has a longer look."""


@pytest.fixture
def cluster(private_control_plane, tmp_path):
    with alerting(private_control_plane(users=USERS), tmp_path, scrape="5s") as found:
        yield found


def of_attacks(cluster):
    """All but what the set-up was: an API server has started, and somebody has written our objects."""
    found = [each for each in cluster.told() if not of_start(each)]
    return [each for each in found if each["labels"]["detection_name"] != "audittampering"]


def test_what_is_out_of_order_is_told_and_what_is_ordinary_is_not(cluster, capsys):
    cluster.until_it_ships()
    cluster.take_rules()
    with ordinary_traffic(cluster):
        time.sleep(QUIET)
        eventually(lambda: cluster.told_of("audittampering", "more"), "the chain to work: the set-up is told of")
        assert [each["annotations"]["summary"] for each in of_attacks(cluster)] == []
        for each in ATTACKS:
            each.run(cluster)
        eventually(lambda: all(cluster.told_of(each.detection) for each in ATTACKS), "all attacks to be told of")
        theirs = eventually(lambda: cluster.told_of("forbiddenburst", "web"), "the tenant to be told of its own")
    told = of_attacks(cluster)
    assert {each["labels"]["detection_name"] for each in told} == {each.detection for each in ATTACKS}
    assert all(each["labels"].get("user", "mallory") == "mallory" for each in told)
    assert theirs["labels"].items() >= {"policy_namespace": "shop", "namespace": "shop", "user": "mallory"}.items()
    assert [each["labels"]["detection_name"] for each in told if each["labels"]["namespace"] == "shop"] == [
        "forbiddenburst"
    ]
    _the_command_shows_the_events(cluster, theirs, capsys)


def _the_command_shows_the_events(cluster, alert, capsys):
    sink = cluster.folder / "sink.json"
    sink.write_text(json.dumps(cluster.sink))
    words = shlex.split(alert["annotations"]["query"])
    assert main([*words[1:], "-f", str(sink), "-o", "ndjson"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum("text" in each for each in records) >= 20
