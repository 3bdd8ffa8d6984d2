"""What the process does with its collector when the configuration changes or goes; a shell script is the collector."""

from __future__ import annotations

import signal
import time

import pytest

from audit_operator.sidecar.collector import Collector
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
        made[-1].collector.patience = 0.0  # the script says nothing of itself
        return made[-1]

    yield make
    for each in made:
        each.collector.patience = 0.0
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


CALM = [
    'otelcol_exporter_queue_size{exporter="x"} 50',
    'otelcol_exporter_queue_capacity{exporter="x"} 100',
    'otelcol_processor_waits_for{exporter="x"} 1',
    "otelcol_processor_held_up 0",
]
FULL = ['otelcol_exporter_queue_size{exporter="x"} 51', *CALM[1:]]


@pytest.fixture
def listening(places, supervise, monkeypatch):
    """A collector that notes down what it is told, and says of itself what the test wants."""
    places.collector.write_text(
        '#!/bin/sh\n[ "$1" = validate ] && exit 0\n'
        f"trap 'echo told >>{places.state}/log' HUP\ntrap 'echo ended >>{places.state}/log; exit 0' TERM\n"
        f"echo up >>{places.state}/log\nwhile :; do sleep 0.05; done\n"
    )

    def noted(count):
        deadline = time.monotonic() + 60
        while (
            len(found := (places.state / "log").read_text().split() if (places.state / "log").exists() else []) < count
        ):
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        return found

    def listen(says, **times):
        monkeypatch.setattr(Collector, "metrics", lambda _: says)
        supervisor = running(supervise(**times), places)
        noted(1)
        return supervisor, noted

    return listen


def reconfigured(supervisor, places):
    (places.config / "config.yaml").write_text("receivers: {a: }\n")
    supervisor.step()


def test_a_collector_is_told_of_another_configuration(listening, places, capsys):
    supervisor, noted = listening(CALM)
    reconfigured(supervisor, places)
    assert noted(2) == ["up", "told"]
    assert "told the collector" in capsys.readouterr().err


@pytest.mark.parametrize("says", [FULL, None], ids=["held up", "says nothing"])
def test_one_that_would_lose_what_it_holds_is_killed_and_started_anew_instead(listening, places, says, capsys):
    supervisor, noted = listening(says)
    reconfigured(supervisor, places)
    assert noted(2) == ["up", "up"]
    assert "anew" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("says", "status"), [(CALM, 0), (FULL, -signal.SIGKILL)], ids=["nothing holds it up", "held up"]
)
@pytest.mark.parametrize("why", ["end of the pod", "withdrawal"])
def test_nor_is_it_ended_in_order(listening, places, says, status, why):
    supervisor, _ = listening(says, withdrawal=0.0, drain=0.2, stop=60.0)
    if why == "withdrawal":
        (places.config / "config.yaml").unlink()
        supervisor.step()
    else:
        supervisor.finish()
    assert supervisor.collector.exit_status == status


def test_one_that_has_just_started_is_given_time_to_say_what_it_holds(listening, places, monkeypatch):
    supervisor, noted = listening(None)
    supervisor.collector.patience = 600.0
    answers = iter([None, None])
    monkeypatch.setattr(Collector, "metrics", lambda _: next(answers, CALM))
    reconfigured(supervisor, places)
    assert noted(2) == ["up", "told"]
