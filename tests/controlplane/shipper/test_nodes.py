"""What the operator tells to nodes, and what it makes of what they say."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from audit_operator.api.findings import Severity
from audit_operator.api.observations import ShipperObservation
from audit_operator.controlplane.shipper import nodes as nodes_module
from audit_operator.controlplane.shipper.instructions import ShipperInstructions
from audit_operator.controlplane.shipper.nodes import NodeShippers
from audit_operator.controlplane.shipper.report import Refusal, ShipperReport
from audit_operator.plan.collector_files import Places
from audit_operator.shipping.redaction.keyring import RANDOM_BYTES, Epoch, Keyring
from tests.controlplane.shipper.memory_board import MemoryBoard, files

NOW = datetime(2026, 11, 28, tzinfo=UTC)


class World:
    def __init__(self):
        self.board, self.now, self.changes = MemoryBoard(), 1000.0, 0
        self.shippers = self.operator()

    def operator(self):
        return NodeShippers(
            "main",
            "uid",
            self.board,
            Places(),
            "role=cp",
            self.changed,
            look_every=0.001,
            nodes_age=0.0,
            clock=lambda: self.now,
        )

    def changed(self):
        self.changes += 1

    async def rounds(self, number=3):
        wanted = self.board.calls.count("reports") + number
        async with asyncio.timeout(20):
            while self.board.calls.count("reports") < wanted:  # noqa: ASYNC110  # what is waited for is the fake's
                await asyncio.sleep(0.001)

    def post(self, node="cp-1", plane="main", wanted="d-good", **more):
        seen = more.pop("seen", ShipperObservation(node, config=wanted, healthy=True))
        self.board.post(node, ShipperReport(plane=plane, wanted=wanted, seen=seen, **more))

    async def observed(self):
        await self.rounds()
        return {each.node: each for each in await self.shippers.observe()}

    @property
    def told(self):
        return ShipperInstructions.decoded(self.board.secret.instructions)


def pseudonymous(mark="good"):
    return files(mark, pseudonymous=("", "payments"))


@pytest.fixture
async def world():
    world = World()
    yield world
    await world.shippers.aclose()


async def test_nodes_are_told_once_and_again_where_somebody_else_has_written(world):
    await world.shippers.deliver(files())
    await world.rounds()
    assert world.told.files.config == "good"
    assert world.board.calls.count("tell") == 1
    world.board.write(b"somebody else's")
    await world.rounds()
    assert world.told.files.config == "good"
    world.board.secret = None
    await world.rounds()
    assert world.told.files.config == "good"
    assert world.board.calls.count("tell") == 3


async def test_the_next_operator_writes_nothing_where_it_stands_already_and_keeps_the_keys(world):
    await world.shippers.deliver(pseudonymous())
    await world.rounds()
    await world.shippers.aclose()
    keys = world.board.secret.pseudonym_keys
    assert Epoch.decoded(keys).present("payments")
    world.shippers = world.operator()
    await world.shippers.deliver(pseudonymous())
    await world.rounds()
    assert world.board.calls.count("tell") == world.board.calls.count("keep_keyring") == 1
    await world.shippers.deliver(pseudonymous("better"))
    await world.rounds()
    assert (world.told.files.config, world.board.secret.pseudonym_keys) == ("better", keys)


async def test_keys_are_made_only_where_something_gets_pseudonyms(world):
    await world.shippers.deliver(files())
    await world.rounds()
    assert (world.board.ring, world.board.secret.pseudonym_keys) == (None, "-")


async def test_keys_that_somebody_has_destroyed_are_told_to_nobody_again(world):
    await world.shippers.deliver(pseudonymous())
    await world.rounds()
    before = Epoch.decoded(world.board.secret.pseudonym_keys)
    ring = Keyring.decoded(world.board.ring.content)
    world.board.write_keyring(ring.without(["payments"], NOW, bytes(RANDOM_BYTES)).encoded())
    await world.rounds()
    told = Epoch.decoded(world.board.secret.pseudonym_keys)
    assert before.present("payments") not in {told.present("payments"), *told.kept("payments")}
    assert told.present("web") == before.present("web")
    world.board.secret = None
    await world.rounds()
    assert Epoch.decoded(world.board.secret.pseudonym_keys) == told
    assert Keyring.decoded(world.board.ring.content).kept("payments") == (told.present("payments"),)


async def test_a_keyring_that_cannot_be_read_stays_and_fields_are_masked(world):
    world.board.write_keyring(b"nothing")
    await world.shippers.deliver(pseudonymous())
    await world.rounds()
    assert [each.id for each in await world.shippers.deliver(pseudonymous())] == ["pseudonym-keys-unusable"]
    assert (world.board.secret.pseudonym_keys, world.board.ring.content) == ("-", b"nothing")
    assert world.told.files.config == "good"


async def test_what_nodes_hold_is_read_from_what_they_were_told(world):
    assert await world.shippers.held() == {}
    told = files(credentials={"auditsink.web.own/0a/authorization": b"x"}, identities={"auditsink.web.own": "one"})
    await world.shippers.deliver(told)
    await world.rounds()
    held = await world.operator().held()
    assert held["auditsink.web.own"].credentials.files == {"authorization": b"x"}
    world.board.write(b"somebody else's")
    assert await world.operator().held() == {}


async def test_that_nothing_is_to_be_shipped_is_told_and_nothing_observed(world):
    await world.shippers.deliver(files())
    await world.shippers.deliver(None)
    assert await world.observed() == {}
    assert world.told.files is None


async def test_the_last_word_is_said_before_the_end(world):
    await world.shippers.deliver(files())
    await world.shippers.deliver(None)
    await world.shippers.aclose()
    assert world.told.files is None


async def test_what_does_not_fit_is_said_and_what_was_told_before_stays(world, monkeypatch):
    await world.shippers.deliver(files())
    await world.rounds()
    monkeypatch.setattr(nodes_module, "LARGEST", 100)
    await world.shippers.deliver(files("large"))
    await world.rounds()
    [finding] = await world.shippers.deliver(files("large"))
    assert (finding.id, world.told.files.config) == ("shipper-instructions-too-large", "good")


async def test_a_cluster_that_is_away_is_said_and_told_later(world):
    world.board.away = True
    await world.shippers.deliver(files())
    [finding] = await world.shippers.deliver(files())
    assert finding.id == "shippers-not-told"
    assert "audit-shipper-main" in finding.message
    [seen] = await world.shippers.observe()
    assert not seen.healthy
    world.board.away = False
    await world.rounds()
    assert world.told.files.config == "good"
    assert await world.shippers.deliver(files()) == ()


async def test_what_a_node_says_is_known_at_the_first_delivery(world):
    world.post()
    await world.shippers.deliver(files())
    [seen] = await world.shippers.observe()
    assert (seen.node, seen.healthy, seen.config) == ("cp-1", True, "d-good")


async def test_a_node_that_has_never_reported_is_named(world):
    world.board.labelled = ("cp-1", "cp-2")
    world.post()
    await world.shippers.deliver(files())
    seen = await world.observed()
    assert seen["cp-1"].healthy
    assert (seen["cp-2"].healthy, seen["cp-2"].last_error) == (False, "no shipper has reported from it")


async def test_a_node_that_falls_silent_is_unhealthy_and_says_since_when(world):
    world.post()
    await world.shippers.deliver(files())
    await world.rounds()
    world.now += 59
    assert (await world.observed())["cp-1"].healthy
    world.now += 2
    changes = world.changes
    seen = (await world.observed())["cp-1"]
    assert (seen.healthy, seen.last_error) == (False, "no report since 2026-11-28T11:00:00Z")
    assert world.changes > changes
    world.post()
    assert (await world.observed())["cp-1"].healthy


async def test_a_report_that_is_old_already_counts_from_when_it_was_renewed(world):
    seen = ShipperObservation("cp-1", config="d-good", healthy=True)
    world.board.post("cp-1", ShipperReport(plane="main", wanted="d-good", seen=seen), age=100.0)
    await world.shippers.deliver(files())
    assert not (await world.observed())["cp-1"].healthy


async def test_a_node_that_is_gone_is_forgotten_once_it_is_silent(world):
    world.board.labelled = ("cp-1",)
    world.post()
    world.post("cp-2")
    await world.shippers.deliver(files())
    assert set(await world.observed()) == {"cp-1", "cp-2"}
    world.now += 61
    world.post()
    assert set(await world.observed()) == {"cp-1"}


async def test_nodes_of_another_control_plane_do_not_count(world):
    world.board.labelled = ("cp-1", "cp-2")
    world.post()
    world.post("cp-2", plane="other")
    await world.shippers.deliver(files())
    assert set(await world.observed()) == {"cp-1"}


async def test_what_a_node_said_of_another_control_plane_excuses_it_no_longer_than_it_is_said(world):
    world.board.labelled = ("cp-1", "cp-2")
    world.post("cp-2", plane="other")
    await world.shippers.deliver(files())
    await world.rounds()
    world.now += 61
    world.post()
    seen = (await world.observed())["cp-2"]
    assert (seen.healthy, seen.last_error) == (False, "no shipper has reported from it")


async def test_nodes_that_cannot_be_listed_are_not_taken_for_none(world):
    world.post()
    world.board.labelled = None
    await world.shippers.deliver(files())
    seen = await world.observed()
    assert seen["cp-1"].healthy
    assert "cannot be listed" in seen["*"].last_error
    world.board.labelled = ("cp-1",)
    assert set(await world.observed()) == {"cp-1"}
    world.board.labelled = None
    world.now += 299
    world.post()
    assert set(await world.observed()) == {"cp-1"}
    world.now += 2
    world.post()
    assert set(await world.observed()) == {"cp-1", "*"}


async def test_where_no_node_is_selected_the_setting_is_named(world):
    world.board.labelled = ()
    await world.shippers.deliver(files())
    [seen] = (await world.observed()).values()
    assert not seen.healthy
    assert "AUDIT_OPERATOR_SHIPPER_NODE_SELECTOR" in seen.last_error


async def test_a_node_that_does_not_understand_has_no_configuration(world):
    world.post(problem="its instructions are not understood")
    await world.shippers.deliver(files())
    seen = (await world.observed())["cp-1"]
    assert (seen.config, seen.last_error) == ("", "its instructions are not understood")


async def test_a_node_that_has_read_nothing_yet_ships_nothing(world):
    world.post(wanted="", seen=None)
    await world.shippers.deliver(files())
    assert not (await world.observed())["cp-1"].healthy


async def test_a_refusal_names_its_node_and_counts_for_the_present_files_alone(world):
    refused = (Refusal(id="shipper-configuration-refused", severity=Severity.ERROR, message="bad", mend="correct it"),)
    world.post(refused=refused)
    await world.shippers.deliver(files())
    await world.rounds()
    [finding] = await world.shippers.deliver(files())
    assert (finding.message, finding.mend) == ("shipper cp-1: bad", "correct it")
    assert await world.shippers.deliver(files("better")) == ()


async def test_nothing_is_said_to_have_changed_where_nothing_has(world):
    world.post()
    await world.shippers.deliver(files())
    await world.rounds()
    changes = world.changes
    world.post()
    await world.rounds(10)
    assert world.changes == changes


async def test_a_bug_is_not_taken_for_nodes_that_are_slow(world, monkeypatch):
    await world.shippers.deliver(files())

    def broken():
        raise RuntimeError("a bug")

    monkeypatch.setattr(world.board, "reports", broken)
    async with asyncio.timeout(20):
        while not world.shippers._work.done():  # noqa: ASYNC110  # the end of a task that is not ours
            await asyncio.sleep(0.001)
    with pytest.raises(RuntimeError):
        await world.shippers.observe()
    world.shippers._work = None
