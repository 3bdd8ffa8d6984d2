"""A node ships what it was told last, whatever becomes of the cluster, and says how that goes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from audit_operator.api.findings import Finding, Severity
from audit_operator.api.observations import ShipperObservation
from audit_operator.controlplane.shipper.instructions import ShippedFiles, ShipperInstructions
from audit_operator.controlplane.shipper.node import LearnedBefore, NodeShipper
from tests.controlplane.shipper.memory_board import MemoryBoard, files


class RecordingCollector:
    """Runs with whatever it is given."""

    def __init__(self):
        self.given, self.refused = [], ()

    def keep(self, given):
        self.given.append(given)

    def refusal(self):
        return self.refused

    def seen(self):
        if not self.given or self.given[-1] is None:
            return None
        return ShipperObservation("cp-1", config=self.given[-1].digest, healthy=True)


def encoded(given):
    return ShipperInstructions(plane="main", files=ShippedFiles.of(given) if given else None).encoded()


class World:
    def __init__(self, folder):
        self.board, self.kept, self.before = MemoryBoard(), RecordingCollector(), LearnedBefore(folder / "instructions")

    @asynccontextmanager
    async def shipper(self):
        made = NodeShipper("cp-1", "main", self.board, self.kept, self.before, poll=0.001, heartbeat=0.001)
        task = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def rounds(self, number=3):
        """Until it has looked and told so many times more."""
        for call in ("revision", "report"):
            wanted = self.board.calls.count(call) + number
            async with asyncio.timeout(20):
                while self.board.calls.count(call) < wanted:  # noqa: ASYNC110  # what is waited for is the fake's
                    await asyncio.sleep(0.001)

    @property
    def report(self):
        return self.board.posted["cp-1"].report


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


async def test_what_is_told_is_shipped_and_reported(world):
    world.board.write(encoded(files()), "key")
    async with world.shipper():
        await world.rounds()
    assert world.kept.given == [files(pseudonym_keys="key")]
    assert (world.report.plane, world.report.wanted, world.report.seen.healthy) == ("main", "d-good", True)


async def test_the_secret_is_read_only_where_it_has_changed(world):
    world.board.write(encoded(files()))
    async with world.shipper():
        await world.rounds(10)
        assert world.board.calls.count("told") == 1
        world.board.write(encoded(files("better")))
        await world.rounds()
    assert world.board.calls.count("told") == 2
    assert [each.digest for each in world.kept.given] == ["d-good", "d-better"]


async def test_the_same_written_again_changes_nothing_and_another_key_does(world):
    world.board.write(encoded(files()))
    async with world.shipper():
        await world.rounds()
        world.board.write(encoded(files()))
        await world.rounds()
        assert len(world.kept.given) == 1
        world.board.write(encoded(files()), "another")
        await world.rounds()
    assert world.kept.given[-1].pseudonym_keys == "another"


async def test_that_nothing_is_to_be_shipped_is_an_order_and_a_missing_secret_is_none(world):
    world.board.write(encoded(files()))
    async with world.shipper():
        await world.rounds()
        world.board.secret = None
        await world.rounds()
        assert world.kept.given[-1] is not None
        world.board.write(encoded(None))
        await world.rounds()
    assert world.kept.given[-1] is None
    assert (world.report.wanted, world.report.seen) == ("", None)


async def test_what_is_not_understood_leaves_what_runs_in_force_and_is_said(world):
    world.board.write(encoded(files()))
    async with world.shipper():
        await world.rounds()
        world.board.write(b"from the future")
        await world.rounds()
        assert [each.digest for each in world.kept.given] == ["d-good"]
        assert "not understood" in world.report.problem
        world.board.write(encoded(files("better")))
        await world.rounds()
    assert world.kept.given[-1].digest == "d-better"
    assert world.report.problem == ""


async def test_the_next_one_starts_with_what_was_learned_last_while_the_cluster_is_away(world):
    world.board.write(encoded(files()), "key")
    async with world.shipper():
        await world.rounds()
        world.board.write(b"from the future")
        await world.rounds()
    world.kept, world.board.away = RecordingCollector(), True
    async with world.shipper():
        await world.rounds()
    assert world.kept.given == [files(pseudonym_keys="key")]


async def test_a_cluster_that_is_away_is_said_once(world, caplog):
    caplog.set_level("INFO")
    world.board.away = True
    async with world.shipper():
        await world.rounds(10)
        world.board.away = False
        await world.rounds(10)
    said = [each.getMessage() for each in caplog.records]
    assert sorted(said) == [
        "Can read instructions again",
        "Can report again",
        "Cannot read instructions: the cluster is away",
        "Cannot report: the cluster is away",
    ]


async def test_a_file_that_is_damaged_is_no_file(world, tmp_path):
    (tmp_path / "instructions").write_bytes(b"\x00\x01")
    async with world.shipper():
        await world.rounds()
    assert world.kept.given == []


async def test_instructions_that_cannot_be_kept_on_the_disk_are_in_force_all_the_same(world, tmp_path):
    world.before = LearnedBefore(tmp_path / "nowhere" / "instructions")
    world.board.write(encoded(files()))
    async with world.shipper():
        await world.rounds()
    assert [each.digest for each in world.kept.given] == ["d-good"]


async def test_a_refusal_is_reported(world):
    world.board.write(encoded(files()))
    world.kept.refused = (Finding("shipper-configuration-refused", Severity.ERROR, "unknown exporter", "correct it"),)
    async with world.shipper():
        await world.rounds()
    [refused] = world.report.refused
    assert (refused.id, refused.message, refused.mend) == (
        "shipper-configuration-refused",
        "unknown exporter",
        "correct it",
    )


async def test_instructions_on_the_disk_are_for_nobody_else(world, tmp_path):
    world.board.write(encoded(files()))
    async with world.shipper():
        await world.rounds()
    assert (tmp_path / "instructions").stat().st_mode & 0o777 == 0o600
