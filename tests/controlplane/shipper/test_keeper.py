"""Whatever a collector does, the last configuration that worked is in force, and what went wrong is said."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from audit_operator.controlplane.shipper import keeper
from audit_operator.controlplane.shipper.canary import BEGUN, FOLDER, Outcome, Trial, TrialTimes
from audit_operator.controlplane.shipper.collector import Collector, CollectorGone, places_of
from audit_operator.controlplane.shipper.keeper import Keeper, ShipperTimes
from audit_operator.plan import plan
from audit_operator.plan.collector_files import collector_files
from audit_operator.plan.shipping import shipping
from audit_operator.shipping.collector.pseudonym_keys import KEYS_FILE
from audit_operator.shipping.redaction.keyring import RANDOM_BYTES, REGISTER_BYTES, Keyring
from tests.plan.test_shipping import SNAPSHOT, sink

FAKE = Path(__file__).parent / "fake_collector.py"


class World:
    def __init__(self, folder):
        interpreter = folder / "bin" / "otelcol"  # its name is that of the program in /proc
        interpreter.parent.mkdir()
        interpreter.symlink_to(sys.executable)
        self.binary = folder / "otelcol"
        self.binary.write_text(f"#!{interpreter} -I\n{FAKE.read_text()}")
        self.binary.chmod(0o700)
        self.collector = Collector(folder / "shipper")
        self.audit_log = folder / "audit.log"
        self.keeper = self.operator()

    def operator(self):
        times = ShipperTimes(ready=10.0, longest_pause=0.1)
        return Keeper(self.collector, self.binary, "n1", times)

    def files(self, mark="good", *, tried=False):
        """What the fake is to do stands in the address of a sink; of lines it knows nothing."""
        own = sink("AuditSink", "own", "payments", victoriaLogs={"url": f"http://{mark}:9428"})
        snapshot = replace(SNAPSHOT, audit_sinks=(own,))
        planned = shipping(snapshot, plan(snapshot), "main")
        made = collector_files(planned, snapshot, "main", places_of(str(self.audit_log)), tries=True)
        return made if tried else replace(made, canary="")

    def until(self, files, condition, keeper=None):
        keeper = keeper or self.keeper
        for _ in range(200):
            pause = keeper.step(files)
            if condition(keeper):
                return
            time.sleep(min(pause, 0.05))
        raise AssertionError(keeper.seen)

    def until_running(self, files, keeper=None):
        self.until(files, lambda each: each.seen.healthy and each.seen.config == files.digest, keeper)


SHORT = Trial(Outcome.UNFINISHED, ("it did not end within 20 s",), short_of_time=True)


@pytest.fixture
def world(tmp_path):
    each = World(tmp_path)
    yield each
    each.collector.retire()


def test_it_is_started_with_what_was_planned(world):
    files = world.files()
    world.until_running(files)
    assert world.collector.configured() == files.config
    assert world.collector.table(files.table_file) == files.table
    assert not world.keeper.refusal(files.digest)


def test_a_refused_configuration_leaves_the_last_good_one_running(world):
    good, bad = world.files(), world.files("refuse-me")
    world.until_running(good)
    process = world.collector.process()
    world.keeper.step(bad)
    [finding] = world.keeper.refusal(bad.digest)
    assert "unknown exporter" in finding.message
    assert (world.keeper.seen.config, world.keeper.seen.healthy) == (good.digest, True)
    assert world.collector.process() == process
    assert world.collector.table(good.table_file) == good.table


def test_a_configuration_that_loses_known_lines_leaves_the_last_good_one_running(world):
    good, bad = world.files(), world.files("better", tried=True)
    world.until_running(good)
    process = world.collector.process()
    world.keeper.times = replace(world.keeper.times, trial=TrialTimes(most=120.0, quiet=0.1))
    world.keeper.step(bad)
    [finding] = world.keeper.refusal(bad.digest)
    assert "a line that is no event: did not arrive" in finding.message
    assert (world.keeper.seen.config, world.collector.process()) == (good.digest, process)
    assert not (world.collector.folder / FOLDER).exists()


def test_a_trial_that_does_not_end_holds_up_nothing_and_is_said(world):
    files = world.files(tried=True)
    world.keeper.times = replace(world.keeper.times, trial=TrialTimes(most=0.0))
    world.until_running(files)
    assert not world.keeper.refusal(files.digest)
    assert "was not tried to the end: it did not end within 0 s" in world.keeper.seen.last_error
    other = world.files("other")
    world.until_running(other)
    assert not world.keeper.seen.last_error


def test_a_trial_that_was_short_of_time_is_made_again_with_more_of_it_a_few_times(world, monkeypatch):
    times, ends = [], [SHORT]

    def tried(_folder, _binary, _files, _halted, given):
        times.append(given.most)
        return ends[0]

    monkeypatch.setattr(keeper, "try_out", tried)
    world.keeper.times = replace(world.keeper.times, trial=TrialTimes(most=20.0), trial_again=0.0)
    files = world.files(tried=True)
    world.until_running(files)
    assert "it is tried again (attempt 1 of 4)" in world.keeper.seen.last_error
    world.until(files, lambda _: len(times) == 4)
    assert times == [20.0, 40.0, 80.0, 80.0]
    for _ in range(3):
        world.keeper.step(files)
    assert len(times) == 4
    assert world.keeper.seen.last_error.endswith("it did not end within 20 s")


def test_what_passes_when_it_is_tried_again_is_not_doubted_any_more(world, monkeypatch):
    ends = iter([SHORT, SHORT, Trial(Outcome.PASSED)])
    monkeypatch.setattr(keeper, "try_out", lambda *_: next(ends))
    world.keeper.times = replace(world.keeper.times, trial_again=0.0)
    files = world.files(tried=True)
    world.until(files, lambda each: each.seen.healthy and each.seen.config == files.digest and not each.seen.last_error)
    assert next(ends, None) is None


def test_what_fails_when_it_is_tried_again_gives_way_to_what_was_there_before(world, monkeypatch):
    good, bad = world.files(), world.files("better", tried=True)
    world.until_running(good)
    ends = iter([SHORT, Trial(Outcome.FAILED, ("a Secret that is created: did not arrive at x",))])
    monkeypatch.setattr(keeper, "try_out", lambda *_: next(ends))
    world.keeper.times = replace(world.keeper.times, trial_again=0.0)
    world.until_running(bad)
    world.until(bad, lambda each: each.seen.healthy and each.seen.config == good.digest)
    [finding] = world.keeper.refusal(bad.digest)
    assert "did not arrive at x" in finding.message
    assert world.collector.configured() == good.config


def test_what_fails_when_it_is_tried_again_stays_where_there_was_nothing_before_and_that_is_said(world, monkeypatch):
    ends = iter([SHORT, Trial(Outcome.FAILED, ("a Secret that is created: did not arrive at x",))])
    monkeypatch.setattr(keeper, "try_out", lambda *_: next(ends))
    world.keeper.times = replace(world.keeper.times, trial_again=0.0)
    files = world.files(tried=True)
    world.until(files, lambda each: each.seen.healthy and "there is no other one" in each.seen.last_error)
    assert world.keeper.seen.config == files.digest


def test_whatever_else_is_to_be_done_comes_before_another_attempt(world, monkeypatch):
    interrupted = []

    def tried(_folder, _binary, _files, halted, _times):
        interrupted.append(halted())
        return SHORT

    monkeypatch.setattr(keeper, "try_out", tried)
    world.keeper.times = replace(world.keeper.times, trial_again=0.0)
    world.keeper.superseded = lambda: True
    files = world.files(tried=True)
    world.until(files, lambda _: len(interrupted) == 8)
    assert interrupted == [False, *[True] * 7]
    assert "attempt 1 of 4" in world.keeper.seen.last_error


def test_one_whose_trial_ended_whoever_tried_it_is_not_tried_again(world):
    """Where there is no room for a second collector, the kernel ends all of a container; the next one must ship."""
    files = world.files(tried=True)
    world.collector.prepare()
    (world.collector.folder / BEGUN).write_text(files.digest)
    (world.collector.folder / FOLDER).mkdir()
    world.until_running(files)
    assert "was killed meanwhile" in world.keeper.seen.last_error
    assert not {FOLDER, BEGUN} & {each.name for each in world.collector.folder.iterdir()}


def test_a_keeper_that_is_to_end_changes_nothing_more(world):
    good, other = world.files(), world.files("other", tried=True)
    world.until_running(good)
    world.keeper.halted = lambda: True
    world.keeper.step(other)
    assert world.collector.configured() == good.config
    assert not world.keeper.refusal(other.digest)


def test_a_configuration_that_it_dies_of_is_taken_back(world):
    good, bad = world.files(), world.files("die-now")
    world.until_running(good)
    world.until(bad, lambda each: each.refusal(bad.digest) and each.seen.healthy)
    [finding] = world.keeper.refusal(bad.digest)
    assert "no room" in finding.message
    assert world.keeper.seen.config == good.digest
    better = world.files("better")
    world.until_running(better)


def test_what_failed_is_tried_again_later_since_the_machine_may_have_been_to_blame(world):
    good, bad = world.files(), world.files("refuse-me")
    world.until_running(good)
    world.keeper.step(bad)
    world.binary.write_text(world.binary.read_text().replace("refuse-me", "never"))
    world.keeper.step(bad)
    assert world.keeper.seen.config == good.digest
    world.keeper.times = replace(world.keeper.times, retry=0.0)
    world.until_running(bad)
    assert not world.keeper.refusal(bad.digest)


def test_where_none_ever_worked_it_is_tried_again_and_again_and_said(world):
    bad = world.files("die-now")
    for _ in range(3):
        world.keeper.step(bad)
        time.sleep(0.1)
    assert not world.keeper.seen.healthy
    assert "no room" in world.keeper.seen.last_error
    world.until_running(world.files())


def test_one_that_dies_is_started_again_and_counted(world):
    files = world.files()
    world.until_running(files)
    first = world.collector.process()
    os.kill(first.pid, signal.SIGKILL)
    world.until(files, lambda each: world.collector.process() not in (None, first) and each.seen.healthy)
    assert world.keeper.seen.figures.restarts == 1


def test_the_next_operator_takes_over_what_runs(world):
    files = world.files()
    world.until_running(files)
    process = world.collector.process()
    world.until_running(files, world.operator())
    assert world.collector.process() == process


def test_the_next_operator_finds_one_that_nobody_noted_down(world):
    files = world.files()
    world.until_running(files)
    process = world.collector.process()
    record = world.collector.folder / "process.json"
    record.write_text(record.read_text().replace(f'"pid": {process.pid}', '"pid": 0'))
    assert world.collector.process() == process
    world.until_running(files, world.operator())
    assert world.collector.process() == process


def test_a_configuration_that_was_written_and_not_told_is_told_by_the_next_operator(world):
    files, other = world.files(), world.files("other")
    world.until_running(files)
    world.collector.write_table(other.table_file, other.table)
    world.collector.configure(other.config)
    world.until_running(other, world.operator())


def test_a_collector_is_told_in_place_unless_it_would_lose_what_it_holds(world):
    """Real ones show the loss: `test_loss_matrix`."""
    world.until_running(world.files())
    process = world.collector.process()
    full = world.files("full-queue")
    world.until_running(full)
    assert world.collector.process() == process
    world.until_running(world.files("better"))
    assert world.collector.process() != process


def test_another_binary_replaces_the_one_that_runs(world):
    files = world.files()
    world.until_running(files)
    first, newer = world.collector.process(), world.binary.with_name("otelcol-2")
    newer.write_text(world.binary.read_text())
    newer.chmod(0o700)
    world.keeper.binary = newer
    world.until_running(files)
    assert world.collector.process() != first
    assert world.collector.runs(newer)


def test_a_binary_that_is_not_there_is_said(world):
    world.keeper.binary = Path("/nowhere/otelcol")
    world.keeper.step(world.files())
    assert not world.keeper.seen.healthy
    assert "/nowhere/otelcol" in world.keeper.seen.last_error


def test_what_is_not_to_be_shipped_any_more_ends_it(world):
    world.until_running(world.files())
    world.keeper.step(None)
    assert world.collector.process() is None
    assert world.keeper.seen is None


def test_nobody_starts_it_once_its_control_plane_is_gone(world):
    files = world.files()
    world.until_running(files)
    world.collector.retire()
    world.keeper.step(files)
    assert world.collector.process() is None
    assert "was stopped" in world.keeper.seen.last_error
    with pytest.raises(CollectorGone):
        world.collector.start(world.binary)


def with_credentials(files, content, revision):
    """As with a sink that has these; what the fake does stands in the configuration alone."""
    path = f"auditsink.payments.own/{revision}/authorization"
    named = files.config.replace("http://", f"/credentials/{path}/http://")
    return replace(files, config=named, digest=files.digest, credentials={path: content})


def test_credentials_lie_there_before_they_are_used_and_for_nobody_else(world):
    files = with_credentials(world.files(), b"Bearer x", "0a")
    world.until_running(files)
    file = world.collector.folder / "credentials" / "auditsink.payments.own" / "0a" / "authorization"
    assert file.read_bytes() == b"Bearer x"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    file.unlink()
    world.keeper.step(files)
    assert file.read_bytes() == b"Bearer x"


def test_former_credentials_stay_until_the_new_ones_work(world):
    first = with_credentials(world.files(), b"Bearer x", "0a")
    world.until_running(first)
    folder = world.collector.folder / "credentials" / "auditsink.payments.own"
    bad = with_credentials(world.files("die-now"), b"Bearer y", "0b")
    world.until(bad, lambda each: each.refusal(bad.digest) and each.seen.healthy)
    assert world.keeper.seen.config == first.digest
    assert (folder / "0a" / "authorization").read_bytes() == b"Bearer x"
    better = with_credentials(world.files("better"), b"Bearer z", "0c")
    world.until_running(better)
    assert [each.name for each in folder.iterdir()] == ["0c"]


def test_other_keys_of_pseudonyms_need_no_start_and_nobody_else_reads_them(world):
    ring = Keyring.begun(datetime(2026, 11, 28, tzinfo=UTC), bytes(range(RANDOM_BYTES + REGISTER_BYTES)))
    files = replace(world.files(), config=f"{world.files().config}# {KEYS_FILE}\n", pseudonymous=("", "payments"))
    world.until_running(replace(files, pseudonym_keys=ring.present.encoded()))
    first, before = world.collector.process(), keys(world)
    assert before["=payments"] == {"id": ring.present.present("payments").id, "secret": before["=payments"]["secret"]}
    assert before["="] != before["=payments"]
    assert "=<nil>" not in before
    assert (world.collector.folder / KEYS_FILE).stat().st_mode & 0o777 == 0o600
    renewed = ring.renewed(["payments"]).present.encoded()
    world.until_running(replace(files, pseudonym_keys=renewed))
    assert (keys(world)["="], world.collector.process()) == (before["="], first)
    assert keys(world)["=payments"] not in (before["=payments"], before["="])
    world.until_running(replace(files, pseudonym_keys="-"))
    assert list(keys(world)) == ["-"]
    world.until_running(world.files("others"))
    assert not (world.collector.folder / KEYS_FILE).exists()
    world.until_running(replace(files, pseudonym_keys=renewed))
    world.keeper.step(None)
    assert not (world.collector.folder / KEYS_FILE).exists()


def test_a_shipper_that_nobody_tells_keys_makes_its_own_once(world):
    files = replace(world.files(), config=f"{world.files().config}# {KEYS_FILE}\n", pseudonymous=("payments",))
    world.until_running(files)
    before = keys(world)
    world.collector.stop()
    world.until_running(files, world.operator())
    assert keys(world) == before
    assert "=payments" in before
    (world.collector.folder / "keyring.json.gz").write_bytes(b"broken")
    world.until_running(files, world.operator())
    assert "=payments" not in keys(world)
    assert (world.collector.folder / "keyring.json.gz").read_bytes() == b"broken"


def keys(world):
    return yaml.safe_load((world.collector.folder / KEYS_FILE).read_text())


def test_where_it_listens_is_its_own_matter(world, tmp_path):
    """The same configuration, in two folders."""
    files = world.files()
    other = Collector(tmp_path / "other")
    keeper = Keeper(other, world.binary, "n2", ShipperTimes(ready=10.0))
    world.until_running(files)
    try:
        world.until_running(files, keeper)
        assert other.configured() == world.collector.configured()
        assert other.endpoints != world.collector.endpoints
    finally:
        other.retire()


def test_a_key_that_no_sink_names_any_more_is_not_left_for_others(world):
    first = replace(world.files(), credentials={"access-key": b"of X"})
    key = world.collector.folder / "credentials" / "access-key"
    world.until_running(first)
    world.keeper.step(first)
    assert key.read_bytes() == b"of X"
    second = replace(world.files("other"), credentials={})
    world.until_running(second)
    world.until(second, lambda _: not key.exists())


def test_no_credentials_stay_where_nothing_is_shipped(world):
    files = replace(world.files(), credentials={"access-key": b"k", "sink/ab/authorization": b"a"})
    world.until_running(files)
    world.keeper.step(None)
    assert not (world.collector.folder / "credentials").exists()
