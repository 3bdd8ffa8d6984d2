"""What sidecars are to be told is tried first; nobody waits for long, whoever else writes how much."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from pathlib import Path

import pytest

from audit_operator.api.findings import ObjectRef, Severity
from audit_operator.controller import sidecar_trials
from audit_operator.controller.sidecar_trials import MOST_OF_NAMESPACE, MOST_WAITING, SidecarTrials, TrialPauses
from audit_operator.controlplane.shipper.canary import BEGUN
from audit_operator.controlplane.shipper.trial import Outcome, Trial, TrialTimes
from tests.shipping.canary.test_application_rehearsed import files, rehearsal

BINARY = Path("/collector")


def policy(namespace="shop"):
    return ObjectRef("AuditPolicy", "orders", namespace)


class Tried:
    """In place of the collector: what trials end with, in their order, the last again and again."""

    def __init__(self, *ends):
        self.ends, self.times, self.digests, self.go_on = list(ends), [], [], threading.Event()
        self.go_on.set()
        self.began = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self, _folder, _binary, wanted, halted, times):
        self.digests.append(wanted.digest)
        self.times.append(times.most)
        self._loop.call_soon_threadsafe(self.began.set)
        while not self.go_on.wait(0.01):
            if halted():
                return Trial(Outcome.UNFINISHED)
        end = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
        if isinstance(end, Exception):
            raise end
        return end


@pytest.fixture
def made(monkeypatch):
    """Makes trials with these ends."""

    def make(*ends, **pauses):
        tried = Tried(*ends)
        monkeypatch.setattr(sidecar_trials, "try_application", tried)
        changed = asyncio.Event()
        trials = SidecarTrials(BINARY, changed.set, pauses=TrialPauses(**pauses))
        return trials, tried, changed

    return make


async def told(changed):
    async with asyncio.timeout(180):
        await changed.wait()
    changed.clear()


PASSED, FAILED = Trial(Outcome.PASSED), Trial(Outcome.FAILED, ("a good line: did not arrive at x",))
SHORT = Trial(Outcome.UNFINISHED, ("it did not end within 20 s",), short_of_time=True)


async def test_what_is_there_stays_until_the_trial_has_ended_and_one_is_good_for_all_that_are_equal(made):
    trials, tried, changed = made(PASSED)
    assert trials.verdict(policy(), rehearsal(), used=False).waits
    assert trials.verdict(policy("web"), rehearsal(namespace="web"), used=False).waits
    await told(changed)
    for namespace in ("shop", "web"):
        verdict = trials.verdict(policy(namespace), rehearsal(namespace=namespace), used=False)
        assert (verdict.waits, verdict.refused, verdict.remark) == (False, None, None)
    assert len(tried.digests) == 1
    await trials.aclose()


async def test_what_loses_lines_is_refused_with_the_line_and_tried_again_after_a_while(made):
    trials, tried, changed = made(FAILED, PASSED, refused=0.0)
    trials.verdict(policy(), rehearsal(), used=False)
    await told(changed)
    refused = trials.verdict(policy(), rehearsal(), used=False).refused
    assert refused.severity is Severity.ERROR
    assert "a good line: did not arrive at x" in refused.message
    await told(changed)
    assert trials.verdict(policy(), rehearsal(), used=False).refused is None
    assert len(tried.digests) == 2
    await trials.aclose()


@pytest.mark.parametrize("outcome", Outcome)
async def test_of_a_trial_that_has_ended_no_record_is_kept(made, outcome):
    class Record(dict):
        pass

    record = Record(text="a line")
    alive = weakref.ref(record)
    trials, tried, changed = made(Trial(outcome, ("x" * 2**20,), {"otlp_http/kept": (record,)}))
    trials.verdict(policy(), rehearsal(), used=False)
    await told(changed)
    del record
    tried.ends.clear()
    verdict = trials.verdict(policy(), rehearsal(), used=False)
    await trials.aclose()
    gc.collect()
    assert alive() is None
    assert (verdict.refused is not None) == (outcome is Outcome.FAILED)
    assert (verdict.remark is not None) == (outcome is Outcome.UNFINISHED)


async def test_what_was_short_of_time_is_used_and_said_and_tried_again_with_more_of_it_a_few_times(made):
    trials, tried, changed = made(SHORT, trial=TrialTimes(most=20.0), unfinished=0.0, attempts=4)
    assert trials.verdict(policy(), rehearsal(), used=False).waits
    for _ in range(8):
        await asyncio.wait_for(changed.wait(), 180) if len(tried.times) < 4 else await asyncio.sleep(0)
        changed.clear()
        verdict = trials.verdict(policy(), rehearsal(), used=True)
        assert not verdict.waits
        assert verdict.remark.severity is Severity.WARNING
        assert "did not end within" in verdict.remark.message
    assert tried.times == [20.0, 40.0, 80.0, 80.0]
    await trials.aclose()


async def test_what_passes_after_it_was_short_of_time_is_not_said_any_more(made):
    trials, _, changed = made(SHORT, PASSED, unfinished=0.0)
    trials.verdict(policy(), rehearsal(), used=False)
    await told(changed)
    assert trials.verdict(policy(), rehearsal(), used=True).remark
    while trials.verdict(policy(), rehearsal(), used=True).remark:
        await told(changed)
    await trials.aclose()


async def test_what_could_not_be_tried_for_another_reason_is_used_and_not_tried_again(made):
    trials, tried, changed = made(ValueError("of ours"), unfinished=0.0)
    trials.verdict(policy(), rehearsal(), used=False)
    await told(changed)
    assert "could not be tried" in trials.verdict(policy(), rehearsal(), used=False).remark.message
    await asyncio.sleep(0)
    assert len(tried.digests) == 1
    await trials.aclose()


async def test_without_a_collector_everything_is_used_and_that_is_said():
    trials = SidecarTrials(None, lambda: None)
    for used in (False, True):
        verdict = trials.verdict(policy(), rehearsal(), used=used)
        assert (verdict.waits, verdict.refused) == (False, None)
        assert "no collector" in verdict.remark.message
    await trials.aclose()


async def test_what_sidecars_have_since_before_the_operator_began_is_not_tried(made):
    trials, tried, _ = made(FAILED)
    verdict = trials.verdict(policy(), rehearsal(), used=True)
    assert (verdict.waits, verdict.refused, verdict.remark) == (False, None, None)
    assert not tried.digests
    await trials.aclose()


async def test_few_of_a_namespace_wait_and_few_at_all_and_the_others_are_used_and_tried_later(made):
    trials, tried, changed = made(PASSED, unfinished=0.0)
    tried.go_on.clear()
    different = [rehearsal(files=files(f"{number}.log")) for number in range(MOST_WAITING + 9)]
    of_one = [trials.verdict(policy(), each, used=False).waits for each in different[: MOST_OF_NAMESPACE + 2]]
    assert of_one == [True] * MOST_OF_NAMESPACE + [False] * 2
    for number, each in enumerate(different[MOST_OF_NAMESPACE + 2 :]):
        last = trials.verdict(policy(f"n{number}"), each, used=False)
    assert (last.waits, "too many others" in last.remark.message) == (False, True)
    tried.go_on.set()
    while trials.verdict(policy("n"), different[-1], used=True).remark:
        await told(changed)
    assert different[-1].digest in tried.digests
    await trials.aclose()


async def test_what_ended_the_operator_in_its_trial_is_used_and_does_not_do_so_again(tmp_path):
    """As where there is no room for a second collector, and the kernel ends all of a container."""
    changed = asyncio.Event()
    trials = SidecarTrials(Path("/no-collector"), changed.set, tmp_path / "trials")
    trials.folder.mkdir()
    (trials.folder / BEGUN).write_text(rehearsal().digest)
    trials.verdict(policy(), rehearsal(), used=False)
    await told(changed)
    assert "was killed meanwhile" in trials.verdict(policy(), rehearsal(), used=False).remark.message
    assert list(trials.folder.iterdir()) == []
    await trials.aclose()


async def test_a_trial_ends_with_the_operator(made):
    trials, tried, _ = made(PASSED)
    tried.go_on.clear()
    trials.verdict(policy(), rehearsal(), used=False)
    async with asyncio.timeout(180):
        await tried.began.wait()
        await trials.aclose()
