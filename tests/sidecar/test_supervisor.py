"""What the process does with its collector when the configuration goes; a shell script is the collector."""

from __future__ import annotations

import time

import pytest

from audit_operator.sidecar.places import Places
from audit_operator.sidecar.supervisor import Supervisor, Times

PATIENCE = 10.0


@pytest.fixture
def places(tmp_path):
    collector = tmp_path / "otelcol"
    collector.write_text('#!/bin/sh\n[ "$1" = validate ] && exit 0\nexec sleep 1000\n')
    collector.chmod(0o700)
    folders = {each: tmp_path / each for each in ("config", "secret", "credentials", "state")}
    for each in folders.values():
        each.mkdir()
    return Places(**folders, message=tmp_path / "message", collector=collector, heap=48)


@pytest.fixture
def supervise(places):
    made = []

    def make(**times):
        made.append(Supervisor(places, Times(**times)))
        return made[-1]

    yield make
    for each in made:
        each.collector.stop(PATIENCE)


def running(supervisor, places):
    (places.config / "config.yaml").write_text("receivers: {}\n")
    (places.credentials / "token").write_text("x")
    supervisor.step()
    assert supervisor.collector.runs
    return supervisor


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_a_configuration_that_stays_away_ends_the_collector_and_leaves_no_credentials(supervise, places, how, capsys):
    supervisor = running(supervise(withdrawal=0.0), places)
    config = places.config / "config.yaml"
    config.write_text("") if how == "empty" else config.unlink()
    supervisor.step()
    assert not supervisor.collector.runs
    assert list(places.credentials.iterdir()) == []
    assert not (places.state / "config.yaml").exists()
    assert "withdrawn" in capsys.readouterr().err
    supervisor.step()
    supervisor.step()
    assert not supervisor.collector.runs
    assert capsys.readouterr().err.count("waiting for a configuration") == 1


def test_what_runs_outlives_a_configuration_that_is_away_for_less_than_a_minute(supervise, places):
    supervisor = running(supervise(), places)
    began = supervisor.collector.started_at
    for _ in range(3):
        (places.config / "config.yaml").unlink()
        supervisor.step()
        (places.config / "config.yaml").write_text("receivers: {}\n")
        supervisor.step()
    assert supervisor.collector.runs
    assert supervisor.collector.started_at == began
    assert Times().withdrawal == 60.0


def test_only_one_absence_counts_not_the_sum_of_several(supervise, places):
    supervisor = running(supervise(withdrawal=1000.0), places)
    (places.config / "config.yaml").unlink()
    supervisor.step()
    supervisor._empty_since = time.monotonic() - 999.0
    (places.config / "config.yaml").write_text("receivers: {}\n")
    supervisor.step()
    (places.config / "config.yaml").unlink()
    supervisor.step()
    assert supervisor.collector.runs


def test_a_configuration_that_comes_back_is_used_again(supervise, places):
    supervisor = running(supervise(withdrawal=0.0), places)
    (places.config / "config.yaml").unlink()
    supervisor.step()
    assert not supervisor.collector.runs
    running(supervisor, places)


def test_a_collector_that_has_ended_is_not_started_again_once_its_configuration_was_withdrawn(supervise, places):
    supervisor = running(supervise(withdrawal=0.0), places)
    supervisor.collector.stop(PATIENCE)
    (places.config / "config.yaml").unlink()
    for _ in range(3):
        supervisor.step()
    assert not supervisor.collector.runs
