"""What was answered with 200 arrives, whatever happens to the collector afterwards."""

from __future__ import annotations

import random
import threading
import time
from http import HTTPStatus

import pytest

from audit_operator.gateway.event_list import split
from audit_operator.gateway.receiver import Limits
from tests.gateway.lists import event, list_of
from tests.integration.gateway.pki import Authority
from tests.integration.gateway.shipping_collector import ShippingCollector, victoria_logs_sink
from tests.integration.gateway.world import RunningGateway, Stored, running
from tests.integration.shipping.small_disk import mounted, unavailable
from tests.integration.shipping.victoria_logs import victoria_logs

KILLS = 20
SHORT = Limits(answer_seconds=2.0)
NOWHERE = "http://127.0.0.1:9"


class Sender(threading.Thread):
    """Posts lists all the time; `taken` has the texts that were answered with 200, and `answers` all answers."""

    def __init__(self, gateway, name, size=1000):
        super().__init__(daemon=True)
        self.gateway, self.prefix, self.size = gateway, name, size
        self.taken, self.answers, self.stopped = set(), [], threading.Event()

    def run(self):
        number = 0
        while not self.stopped.is_set():
            filler = f'"{self.prefix}{"x" * self.size}"'
            content = list_of(*(event(f"{self.prefix}-{number + each}", filler=filler) for each in range(20)))
            number += 20
            status, headers, _ = self.gateway.post(content)
            self.answers.append((status, headers.get("Retry-After")))
            if status == HTTPStatus.OK:
                self.taken.update(each.decode() for each in split(content))
            else:
                time.sleep(0.05)

    def stop(self):
        self.stopped.set()
        self.join(60)


def until_refused(sender):
    deadline = time.monotonic() + 180
    while (503, "3") not in sender.answers:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_twenty_sudden_ends_under_load_lose_nothing_that_was_answered_for(tmp_path):
    draw = random.Random(3)
    with (
        victoria_logs(tmp_path) as url,
        running(ShippingCollector(tmp_path / "collector", victoria_logs_sink(url))) as collector,
        RunningGateway(Authority(tmp_path / "pki"), collector.address) as gateway,
    ):
        senders = [Sender(gateway, f"s{number}") for number in range(4)]
        for sender in senders:
            sender.start()
        for _ in range(KILLS):
            time.sleep(draw.uniform(0.2, 0.8))
            collector.kill()
            collector.start()
        for sender in senders:
            sender.stop()
        taken = set().union(*(sender.taken for sender in senders))
        assert len(taken) > 1000
        assert {status for sender in senders for status, _ in sender.answers} <= {200, 503}
        stored = Stored(url)
        stored.until_it_has(taken)
        records = len(stored.records())
        print(f"{len(taken)} taken, {records} records, {records - len(stored.texts())} twice, {KILLS} kills")  # noqa: T201


def test_a_collector_that_ends_right_after_its_answer_loses_nothing(tmp_path):
    with (
        victoria_logs(tmp_path) as url,
        running(ShippingCollector(tmp_path / "collector", victoria_logs_sink(url))) as collector,
        RunningGateway(Authority(tmp_path / "pki"), collector.address) as gateway,
    ):
        taken = set()
        for number in range(KILLS):
            content = list_of(*(event(f"{number}-{each}") for each in range(400)))
            status, _, _ = gateway.post(content)
            collector.kill()
            assert status == HTTPStatus.OK
            taken.update(each.decode() for each in split(content))
            collector.start()
        Stored(url).until_it_has(taken)


def test_a_full_queue_is_answered_with_503_and_what_was_taken_before_arrives_later(tmp_path):
    with victoria_logs(tmp_path) as url:
        pass  # a store whose address nobody has now
    port = int(url.rpartition(":")[2])
    with (
        running(ShippingCollector(tmp_path / "collector", victoria_logs_sink(url), queue=2**20)) as collector,
        RunningGateway(Authority(tmp_path / "pki"), collector.address, limits=SHORT) as gateway,
    ):
        sender = Sender(gateway, "full", size=10_000)
        sender.start()
        until_refused(sender)
        sender.stop()
        assert 0 < len(sender.taken) < 200
        with victoria_logs(tmp_path, port=port):
            Stored(url).until_it_has(sender.taken, patience=180)
            assert gateway.post(list_of(event("afterwards")))[0] == HTTPStatus.OK


def test_an_orderly_end_while_a_queue_is_full_loses_nothing_that_was_answered_for(tmp_path):
    """Requests wait for room then: none of them may be answered as if it had been taken."""
    with victoria_logs(tmp_path) as url:
        pass
    port = int(url.rpartition(":")[2])
    with (
        running(ShippingCollector(tmp_path / "collector", victoria_logs_sink(url), queue=2**20)) as collector,
        RunningGateway(Authority(tmp_path / "pki"), collector.address, limits=SHORT) as gateway,
    ):
        senders = [Sender(gateway, f"s{number}", size=10_000) for number in range(4)]
        for sender in senders:
            sender.start()
        until_refused(senders[0])
        for _ in range(3):
            collector.stop()
            collector.start()
            time.sleep(1)
        for sender in senders:
            sender.stop()
        with victoria_logs(tmp_path, port=port):
            Stored(url).until_it_has(set().union(*(sender.taken for sender in senders)), patience=180)


def test_the_largest_events_arrive_cut_and_cost_the_others_nothing(tmp_path):
    with (
        victoria_logs(tmp_path) as url,
        running(ShippingCollector(tmp_path / "collector", victoria_logs_sink(url))) as collector,
        RunningGateway(Authority(tmp_path / "pki"), collector.address) as gateway,
    ):
        sizes = {"3": 3 * 2**20, "15": 15 * 2**20, "20": 20 * 2**20}
        large = [event(name, requestObject=f'{{"a":"{"x" * size}"}}') for name, size in sizes.items()]
        small = [event(f"small-{number}") for number in range(len(large))]
        mixed = [each for pair in zip(large, small, strict=True) for each in pair]
        assert gateway.post(list_of(*mixed))[0] == HTTPStatus.OK
        stored = Stored(url)
        stored.until_it_has({each.decode() for each in split(list_of(*small))})
        deadline = time.monotonic() + 180
        while len(found := [each for each in stored.records() if "cut" in each or "quarantine" in each]) < len(large):
            assert time.monotonic() < deadline, found
            time.sleep(0.2)
        assert {each["auditID"] for each in found if "quarantine" not in each} == {"id-3", "id-15", "id-20"}


@pytest.mark.skipif(bool(unavailable()), reason=unavailable())
def test_a_full_disk_is_answered_with_503_and_what_was_taken_before_arrives_later(tmp_path):
    with victoria_logs(tmp_path) as url:
        pass
    port = int(url.rpartition(":")[2])
    with (
        mounted(tmp_path / "disk", 4 * 2**20) as disk,
        running(ShippingCollector(disk.folder / "collector", victoria_logs_sink(url))) as collector,
        RunningGateway(Authority(tmp_path / "pki"), collector.address, limits=SHORT) as gateway,
    ):
        sender = Sender(gateway, "disk", size=20_000)
        sender.start()
        until_refused(sender)
        sender.stop()
        assert sender.taken
        disk.relieve()
        with victoria_logs(tmp_path, port=port):
            Stored(url).until_it_has(sender.taken, patience=180)
            assert gateway.post(list_of(event("afterwards")))[0] == HTTPStatus.OK


def test_while_the_collector_is_away_the_answer_is_503_with_a_time_to_come_again(tmp_path):
    collector = ShippingCollector(tmp_path / "collector", victoria_logs_sink(NOWHERE))
    with RunningGateway(Authority(tmp_path / "pki"), collector.address) as gateway:
        status, headers, text = gateway.post(list_of(event()))
        assert (status, headers["Retry-After"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "3")
        assert text.startswith("the collector does not answer")


def test_a_collector_that_hangs_costs_an_answer_of_503_in_time(tmp_path):
    with (
        running(ShippingCollector(tmp_path / "collector", victoria_logs_sink(NOWHERE))) as collector,
        RunningGateway(Authority(tmp_path / "pki"), collector.address, limits=SHORT) as gateway,
    ):
        collector.pause()
        assert gateway.post(list_of(event()))[0] == HTTPStatus.SERVICE_UNAVAILABLE
        collector.resume()
        assert gateway.post(list_of(event()))[0] == HTTPStatus.OK
