"""The operator asks sidecars. Pods are servers on loopback, honest ones and others."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from audit_operator.api.conditions import Reason
from audit_operator.api.findings import ObjectRef
from audit_operator.api.observations import ExporterFigures
from audit_operator.controller import sidecar_questions
from audit_operator.controller.sidecar_questions import Carriers, SidecarQuestions, ask
from audit_operator.plan.sidecar_figures import Trouble, silence
from audit_operator.shipping.injection.figures import SidecarAnswer, ports
from audit_operator.sinks.network import Network
from tests.plan.test_sidecars import seen
from tests.shipping.injection import pods

PATIENCE = 60.0
ADDRESS = "127.83.19.8"
ORDERS, OTHER = ObjectRef("AuditPolicy", "orders", "shop"), ObjectRef("AuditPolicy", "other", "bank")
SOURCE, SINK = "logs/*.log", "otlp_http/own"
OPEN = Network()


def pod(name="web-1", address=ADDRESS):
    return replace(seen(pods.pod(), name), uid=str(uuid.uuid4()), address=address)


def carriers(*carrying, policy=ORDERS, fresh=None):
    uids = frozenset(each.uid for each in (carrying if fresh is None else fresh))
    return Carriers(policy, carrying, uids, frozenset({SOURCE}), frozenset({SINK}))


def told(of, policy=ORDERS, **more):
    figures = {"received": 10, "refused": 0, "quarantined": {SOURCE: 1}, "sinks": {SINK: [9, 0, 0, 0, 100]}}
    name = f"{policy.namespace}/{policy.name}"
    return {"pod": of.uid, "policy": name, "runs": True, "epoch": "1", **figures, **more}


def answering(document):
    body = json.dumps(document).encode()
    return b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body


@asynccontextmanager
async def listening(of, respond, nth=0, policy=ORDERS):
    """Whatever listens in a pod: `respond` is what it sends, or how it behaves."""

    async def handle(reader, writer):
        try:
            if isinstance(respond, bytes):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(respond)
                await writer.drain()
            else:
                await respond(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    port = ports(of.uid, f"{policy.namespace}/{policy.name}")[nth]
    server = await asyncio.start_server(handle, ADDRESS, port)
    try:
        yield
    finally:
        server.close()


async def asked(of, patience=PATIENCE):
    return await ask(of, carriers(of), OPEN, patience)


async def test_a_sidecar_is_asked_at_the_address_of_its_pod():
    web = pod()
    async with listening(web, answering(told(web))):
        answer = await asked(web)
    assert (answer.received, answer.quarantined) == (10, {SOURCE: 1})


async def test_an_application_at_the_first_port_does_not_hide_the_sidecar_at_the_next():
    web = pod()
    async with (
        listening(web, b"SSH-2.0-OpenSSH_9.9\r\n"),
        listening(web, answering(told(web)), nth=1),
    ):
        assert (await asked(web)).received == 10


async def test_where_nobody_listens_nothing_is_said():
    assert await asked(pod()) is None


async def silent(_reader, _writer):
    await asyncio.sleep(PATIENCE)


async def dribbling(_reader, writer):
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def endless(_reader, writer):
    writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
    while True:
        writer.write(b"9" * 2**16)
        await writer.drain()


async def hanging_up(_reader, writer):
    writer.transport.abort()


@pytest.mark.parametrize("behaviour", [silent, dribbling])
async def test_a_pod_that_is_slow_is_waited_for_no_longer_than_others(behaviour):
    web = pod()
    async with listening(web, behaviour):
        assert await asked(web, patience=0.2) is None


@pytest.mark.parametrize("behaviour", [endless, hanging_up])
async def test_a_pod_that_floods_or_hangs_up_says_nothing(behaviour):
    web = pod()
    async with listening(web, behaviour):
        assert await asked(web) is None


async def test_what_speaks_for_another_pod_is_not_heard():
    web, victim = pod(), pod("db-1")
    async with listening(web, answering(told(victim))):
        assert await asked(web) is None


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "169.254.169.254", "fe80::1", "0.0.0.0", "::ffff:127.0.0.1", "224.0.0.1", "", "metadata", "1"],  # noqa: S104
)
async def test_an_address_that_is_no_pods_is_never_connected_to(address, monkeypatch):
    async def connect(*_args, **_more):
        raise AssertionError("connected")

    monkeypatch.setattr(sidecar_questions.asyncio, "open_connection", connect)
    web = pod(address=address)
    assert await ask(web, carriers(web), Network(foreign=True), 1.0) is None


class World:
    """Pods that say what a test has them say, and the rounds in which they are asked."""

    def __init__(self, monkeypatch):
        self.said, self.asked, self.changes, self.now = {}, [], 0, 1000.0
        self.of = []
        self.questions = SidecarQuestions(60.0, lambda: self.of, self._changed)
        monkeypatch.setattr(sidecar_questions, "ask", self._ask)
        monkeypatch.setattr(sidecar_questions.time, "monotonic", lambda: self.now)

    def _changed(self):
        self.changes += 1

    async def _ask(self, pod, _of, _network, _patience):
        self.asked.append(pod.name)
        return self.said.get(pod.uid)

    async def rounds(self, number=1):
        for _ in range(number):
            await self.questions.round()
            self.now += 60.0
        return self.questions.facts.get(ORDERS)


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch)


def answer(epoch="1", lines=0, **figures):
    return SidecarAnswer(True, epoch, 100, 0, {SOURCE: lines}, {SINK: ExporterFigures(capacity=100, **figures)})


async def test_lines_in_quarantine_are_added_up_over_pods_and_reloads_and_outlive_pods(world):
    one, two = pod("a"), pod("b")
    world.of = [carriers(one, two)]
    world.said = {one.uid: answer(lines=3), two.uid: answer(lines=4)}
    assert (await world.rounds()).totals.quarantined == {SOURCE: 7}
    world.said[one.uid] = answer(epoch="2", lines=1)
    assert (await world.rounds()).totals.quarantined == {SOURCE: 8}
    world.of = [carriers(two)]
    figures = await world.rounds()
    assert figures.totals.quarantined == {SOURCE: 8}
    assert (figures.answering, figures.quarantined) == (1, {SOURCE: 5})
    world.of = []
    assert await world.rounds() is None


async def test_nobody_is_told_of_figures_that_change_nothing(world):
    web = pod()
    world.of = [carriers(web)]
    world.said = {web.uid: answer(lines=5)}
    await world.rounds()
    assert world.changes == 1
    world.said = {web.uid: replace(answer(lines=9), received=200)}
    await world.rounds()
    assert world.changes == 1
    world.said = {web.uid: answer(lines=10)}
    await world.rounds()
    assert world.changes == 2


async def test_a_pod_that_lies_without_end_reaches_the_end_of_the_scale(world):
    web = pod()
    world.of = [carriers(web)]
    for epoch in range(5):
        world.said = {web.uid: answer(epoch=str(epoch), lines=10**15, failed=10**15, sent=10**15)}
        figures = await world.rounds()
    assert figures.quarantined == {SOURCE: 10**15}
    assert figures.totals.sinks[SINK].failed == 10**15


async def test_a_lie_stays_with_the_policy_of_the_pod(world):
    liar, honest = pod("liar"), pod("honest")
    world.of = [carriers(liar), carriers(honest, policy=OTHER)]
    world.said = {liar.uid: answer(lines=10**9, failed=10**9), honest.uid: answer(lines=1)}
    await world.rounds()
    assert world.questions.facts[OTHER].quarantined == {SOURCE: 1}


async def test_a_sidecar_is_silent_after_several_rounds_and_one_of_an_earlier_release_never_beside_others(world):
    new, old = pod("new"), pod("old")
    world.of = [carriers(new, old, fresh=[new])]
    assert (await world.rounds(2)).silent == ""
    assert (await world.rounds(2)).silent == "new"
    world.said = {new.uid: answer()}
    figures = await world.rounds()
    assert (figures.silent, figures.answering) == ("", 1)
    world.said = {}
    assert (await world.rounds(2)).answering == 1
    assert (await world.rounds(3)).answering == 0


async def test_an_answer_is_awaited_until_one_has_come_and_not_again_while_pods_are_replaced(world):
    one, two = pod("one"), pod("two")
    world.of = [carriers(one)]
    assert (await world.rounds()).is_awaited
    world.said = {one.uid: answer()}
    assert not (await world.rounds()).is_awaited
    world.of = [carriers(two)]
    figures = await world.rounds()
    assert (figures.answering, figures.is_awaited) == (0, False)


async def test_where_all_sidecars_are_of_an_earlier_release_nothing_is_claimed_before_one_answers(world):
    old = pod("old")
    world.of = [carriers(old, fresh=[])]
    figures = await world.rounds()
    assert (figures.answering, silence(figures).reason) == (0, Reason.PENDING)
    figures = await world.rounds(3)
    assert (figures.silent, silence(figures).reason) == ("old", Reason.SIDECARS_SILENT)
    world.said = {old.uid: answer()}
    assert silence(await world.rounds()) is None


async def test_a_policy_that_is_new_is_asked_about_before_its_time(monkeypatch):
    known = {name: asyncio.Event() for name in ("first", "second")}

    async def ask_nobody(pod, *_args):
        known[pod.name].set()

    monkeypatch.setattr(sidecar_questions, "ask", ask_nobody)
    of = [carriers(pod("first"))]
    questions = SidecarQuestions(PATIENCE * 10, lambda: of, pause=0.0)
    running = asyncio.create_task(questions.run())
    async with asyncio.timeout(PATIENCE):
        await known["first"].wait()
        of.append(carriers(pod("second"), policy=OTHER))
        questions.hurry()
        await known["second"].wait()
    running.cancel()


async def test_a_loss_is_told_for_an_hour_by_one_name(world):
    one, two = pod("b"), pod("a")
    world.of = [carriers(one, two)]
    world.said = {one.uid: answer(sent=5), two.uid: answer(sent=5)}
    assert (await world.rounds()).troubled == {}
    world.said[one.uid] = answer(sent=5, failed=1)
    assert (await world.rounds()).troubled == {Trouble.LOSSY: "b"}
    world.said[two.uid] = answer(sent=5, failed=1)
    assert (await world.rounds()).troubled == {Trouble.LOSSY: "b"}
    world.of = [carriers(two)]
    assert (await world.rounds()).troubled == {Trouble.LOSSY: "b"}
    assert (await world.rounds(60)).troubled == {}


async def test_what_was_lost_before_anybody_asked_is_counted_and_not_shown_as_of_late(world):
    old, later = pod("old"), pod("later")
    world.of = [carriers(old)]
    world.said = {old.uid: answer(sent=5, failed=3), later.uid: answer(sent=5, failed=2)}
    figures = await world.rounds()
    assert figures.troubled == {}
    assert figures.totals.sinks[SINK].failed == 3
    world.of = [carriers(old, later)]
    figures = await world.rounds()
    assert figures.troubled == {Trouble.LOSSY: "later"}
    assert (figures.totals.sinks[SINK].failed, figures.totals.sinks[SINK].sent) == (5, 10)


async def test_records_that_wait_without_end_are_a_backlog_and_a_queue_that_moves_is_none(world):
    web = pod()
    world.of = [carriers(web)]
    world.said = {web.uid: answer(sent=5, queue=10)}
    await world.rounds()
    world.said = {web.uid: answer(sent=9, queue=10)}
    assert (await world.rounds()).troubled == {}
    assert (await world.rounds()).troubled == {Trouble.BACKLOG: "web-1"}
    world.said = {web.uid: answer(sent=20)}
    assert (await world.rounds()).troubled == {}


async def test_a_collector_that_does_not_come_back_is_told(world):
    web = pod()
    world.of = [carriers(web)]
    world.said = {web.uid: SidecarAnswer(runs=False)}
    assert (await world.rounds()).troubled == {}
    assert (await world.rounds()).troubled == {Trouble.DOWN: "web-1"}
    world.said = {web.uid: answer()}
    assert (await world.rounds()).troubled == {}


async def test_a_policy_with_very_many_pods_takes_no_turn_from_another(world):
    many = tuple(pod(f"many-{n}") for n in range(50))
    world.of = [carriers(*many), carriers(pod("single"), policy=OTHER)]
    world.questions.most = 10
    await world.rounds()
    assert len(world.asked) == 10
    assert "single" in world.asked
    first = list(world.asked)
    await world.rounds()
    assert world.asked[10:] == first


async def test_a_bug_ends_no_round_but_its_own(world):
    def broken():
        raise RuntimeError("a bug")

    world.questions.carriers = broken
    await world.questions.round()
    world.questions.carriers = lambda: [carriers(pod())]
    assert await world.rounds() is not None
