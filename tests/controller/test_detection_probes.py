"""How long detections take to be seen, whatever else rises and falls."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from audit_operator.api.observations import ShipperFigures, ShipperObservation
from audit_operator.api.way_figures import MISSING
from audit_operator.cluster.probing import Unsent
from audit_operator.controller.detection_probes import DetectionProbes, DetectionTiming, counted_probes
from audit_operator.controller.live_probes import new_marks
from audit_operator.controller.metrics import Metrics
from audit_operator.plan import plan
from audit_operator.plan.collector_files import CollectorFiles
from audit_operator.plan.counting import resolved
from audit_operator.plan.shipping_status import ShippingFacts
from audit_operator.proof.basis import bases
from audit_operator.proof.detecting import Trial
from audit_operator.proof.selecting import prober_in
from tests.plan.objects import cluster_policy, control_plane
from tests.proof.test_basis import SNAPSHOT, TO_CENTRAL

DETECTIONS = [{"name": "forbidden", "preset": "ForbiddenBurst"}, {"name": "binding", "preset": "ClusterAdminBinding"}]
PROBED = replace(
    SNAPSHOT,
    cluster_audit_policies=(cluster_policy(rules=[{"level": "Metadata"}], sinkRefs=TO_CENTRAL, detections=DETECTIONS),),
    control_planes=(control_plane(probes={"enabled": True}),),
)
[POLICY] = PROBED.cluster_audit_policies
FORBIDDEN, BINDING = (resolved(each, namespaced=False)[1] for each in POLICY.spec.detections)


def of(snapshot):
    return bases(snapshot, plan(snapshot), prober_in("audit-operator"))


@dataclass
class World:
    """A prober, and counters that count what it sends after a while, if they are well."""

    gate: asyncio.Lock = field(default_factory=asyncio.Lock)
    changes: int = 0
    sent: list = field(default_factory=list)
    counted: dict = field(default_factory=dict)
    counts: bool = True
    seen: bool = True
    unsent: str = ""
    noise: int = 0
    paid: int = 0
    bases: dict = field(default_factory=lambda: of(PROBED))

    @property
    def rate(self):
        return self

    async def wait(self):
        self.paid += 1

    def on_change(self):
        self.changes += 1

    async def send(self, request):
        assert self.gate.locked()
        assert self.paid == len(self.sent) + 1, "what all probes share bounds these as well"
        self.sent.append(request)
        if self.counts:
            asyncio.get_running_loop().call_later(0.05, self.count)
        return Unsent(self.unsent) if self.unsent else None

    def count(self):
        self.counted[FORBIDDEN] = self.counted.get(FORBIDDEN, 0) + 1

    def probes(self, plane):
        assert plane == "main"
        self.counted["noise"] = self.counted.get("noise", 0) + self.noise
        return dict(self.counted) if self.seen else None


@pytest.fixture
async def world():
    made, metrics = World(), Metrics()
    made.metrics = metrics
    made.measuring = DetectionProbes(
        made,
        made,
        made.probes,
        metrics.probe_counts().detection,
        new_marks,
        DetectionTiming(every=0.05, patience=1.0, look=0.01, quiet=0.05),
    )
    made.measuring.follow(PROBED, plan(PROBED))
    task = asyncio.create_task(made.measuring.run())
    yield made
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # conditions of tests have no event to wait for
            await asyncio.sleep(0.01)


def seconds(world):
    return world.measuring.times["main"].seconds if "main" in world.measuring.times else {}


async def test_the_time_until_a_count_rises_is_measured_and_what_cannot_be_is_said(world):
    await until(lambda: FORBIDDEN in seconds(world))
    assert seconds(world) == {FORBIDDEN: 1.0}
    assert world.measuring.times["main"].unmeasured == {BINDING}
    changes, sent = world.changes, len(world.sent)
    await until(lambda: len(world.sent) > sent + 2)
    assert world.changes == changes
    shown = world.metrics.registry.get_sample_value
    assert shown("audit_operator_detection_seconds_count", {"control_plane": "main"}) >= 2


async def test_a_count_is_looked_for_while_other_requests_wait_for_their_turn():
    """Else the first of many would be said to take as long as sending all of them."""
    turns, looks = iter([False, True]), asyncio.Queue()

    async def wait():
        if next(turns):
            await asyncio.wait_for(looks.get(), 60)

    async def send(_request):
        return None

    def counts(_plane):
        looks.put_nowait("")
        return {"first": 1, "second": 1}

    probes, timing = SimpleNamespace(rate=SimpleNamespace(wait=wait)), DetectionTiming(look=0.01)
    made = DetectionProbes(probes, SimpleNamespace(send=send), counts, None, new_marks, timing)
    found = tuple(Trial(None, frozenset({name})) for name in ("first", "second"))
    took = await made._took("main", found, {})
    assert took.keys() == {"first", "second"}


async def test_a_count_that_never_rises_is_missing_and_gone_after_the_mend(world):
    await until(lambda: FORBIDDEN in seconds(world))
    world.counts = False
    await until(lambda: seconds(world) == {FORBIDDEN: MISSING})
    world.counts = True
    await until(lambda: seconds(world) == {FORBIDDEN: 1.0})


@pytest.mark.parametrize("trouble", [{"unsent": "no token"}, {"noise": 1}])
async def test_where_nothing_can_be_told_nothing_is_said(world, trouble):
    for name, value in trouble.items():
        setattr(world, name, value)
    await until(lambda: "main" in world.measuring.times)
    assert seconds(world) == {}


async def test_where_no_counts_are_seen_nobody_waits_and_nothing_is_sent(world):
    world.seen = False
    for _ in range(30):
        assert not world.gate.locked()
        await asyncio.sleep(0.01)
    assert (world.sent, world.measuring.times) == ([], {})
    world.seen = True
    await until(lambda: FORBIDDEN in seconds(world))


async def test_facts_that_are_looked_at_anew_meanwhile_make_no_measurement_void(world):
    for _ in range(5):
        world.bases = of(PROBED)
        await asyncio.sleep(0.1)
    await until(lambda: FORBIDDEN in seconds(world))


async def test_a_count_that_nobody_can_see_is_not_said_to_be_missing(world):
    await until(lambda: FORBIDDEN in seconds(world))
    world.counts, sent = False, len(world.sent)
    await until(lambda: len(world.sent) > sent)
    world.seen = False
    await asyncio.sleep(1.5)
    assert seconds(world) == {FORBIDDEN: 1.0}


async def test_detections_that_are_gone_are_forgotten(world):
    await until(lambda: FORBIDDEN in seconds(world))
    plain = cluster_policy(rules=[{"level": "Metadata"}], sinkRefs=TO_CENTRAL)
    without = replace(PROBED, cluster_audit_policies=(plain,))
    world.bases = of(without)
    world.measuring.follow(without, plan(without))
    await until(lambda: world.measuring.times == {})


FILES = CollectorFiles("", "digest", "", "table.yaml", {}, {}, {})


def shipper(**fields):
    figures = ShipperFigures(probed=fields.pop("probed", (("a", 1), ("b", 2))))
    return ShipperObservation("n", **{"config": "digest", "healthy": True, "figures": figures, **fields})


def test_what_all_shippers_have_counted_is_added():
    assert counted_probes(ShippingFacts(FILES, shippers=(shipper(), shipper(probed=(("a", 4),))))) == {"a": 5, "b": 2}


@pytest.mark.parametrize("fields", [{"config": "older"}, {"healthy": False}, {"probed": None}])
def test_a_shipper_that_may_not_count_all_leaves_it_unknown(fields):
    assert counted_probes(ShippingFacts(FILES, shippers=(shipper(), shipper(**fields)))) is None
    assert counted_probes(ShippingFacts(FILES)) is counted_probes(None) is None
