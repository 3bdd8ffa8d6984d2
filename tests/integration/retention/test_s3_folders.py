"""Retention by folder in a real bucket: rules beside those of others, holds, changes of class, and what others do."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import uuid
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from minio.commonconfig import GOVERNANCE
from minio.error import S3Error
from minio.helpers import md5sum_hash
from minio.objectlockconfig import DAYS, ObjectLockConfig

from audit_operator.api.findings import ObjectRef
from audit_operator.api.parsing import to_json
from audit_operator.cluster.resources import CLUSTER_AUDIT_SINK
from audit_operator.controller.content import decode
from audit_operator.controller.retention import RetentionRounds, RoundTimes
from audit_operator.plan.retention import SinkDemands
from audit_operator.retention.change import GRACE
from audit_operator.retention.classes import RetentionClass
from audit_operator.retention.demand import Demand
from audit_operator.retention.folders import Limit, Place
from audit_operator.sinks import Access
from audit_operator.sinks.access import failure
from audit_operator.sinks.retention import s3_orders
from audit_operator.sinks.retention.opening import open_retention
from audit_operator.sinks.retention.protocol import Done
from audit_operator.sinks.retention.s3_orders import Turns
from audit_operator.sinks.store import Reason
from tests.integration.shipping import clock
from tests.integration.shipping.seaweedfs import KEY, KEY_ID, seaweedfs
from tests.plan.objects import parsed

MONTH, TWO, HELD = Demand(maximum=720), Demand(maximum=1440), Demand(maximum=720, legal_hold=True)
NOW = datetime(2026, 11, 28, tzinfo=UTC)
FOREIGN = (
    "<LifecycleConfiguration xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>\n  <!-- of the platform -->\n"
    "  <Rule><ID>theirs</ID><Filter><And><Prefix>x/</Prefix><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></And>"
    "</Filter><Status>Enabled</Status><Expiration><Days>7</Days></Expiration></Rule>\n</LifecycleConfiguration>"
)


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as running:
        yield running


@dataclass
class World:
    """A sink with the status that was written last, its bucket, and a clock."""

    s3: object
    bucket: str
    status: dict = field(default_factory=dict)
    ahead: timedelta = timedelta()
    away: bool = False
    rounds: RetentionRounds = None
    gets: int = 0
    enforcement: str = "Enforce"
    name: str = "central"
    secret: str = "keys"

    @property
    def ref(self):
        return ObjectRef("ClusterAuditSink", self.name)

    @property
    def sink(self):
        section = {"bucket": self.bucket, "prefix": "prod/", "endpoint": self.s3.url, "pathStyle": True}
        keys = {"type": "AccessKey", "secretRef": {"namespace": "audit", "name": self.secret}}
        more = {"credentials": keys, "retentionEnforcement": self.enforcement}
        return parsed("ClusterAuditSink", self.name, {"type": "S3", "s3": section, **more})

    async def get(self, resource, *, name, namespace=""):  # noqa: ARG002 - the protocol's
        self.gets += 1
        return {"status": {"retention": self.status}}

    async def open_retention(self, sink, clusters):
        if self.away:
            return failure(Reason.UNREACHABLE, "no connection to the store")
        access = Access(access_key_id=KEY_ID, secret_access_key=KEY)
        return open_retention(sink, access, None, clusters, may_delete=True)

    def write(self):
        if self.ref in self.rounds.observations:
            self.status = to_json(self.rounds.observations[self.ref].status)

    async def go(self, *, days=0, clusters=("main",), **demanded):
        """Some rounds; what is said of each class."""
        self.ahead += timedelta(days=days)
        by_demand = {}
        for name, demand in demanded.items():
            by_demand.setdefault(demand, []).append(name)
        classes = tuple(RetentionClass(demand, tuple(sorted(names))) for demand, names in by_demand.items())
        self.rounds.follow([self.sink], {self.ref: SinkDemands(classes, clusters)}, frozenset(demanded))
        end = self.gets + 4
        async with asyncio.timeout(120):
            while self.gets < end:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.05)
        return {each.name: each for each in self.rounds.observations[self.ref].status.classes}

    def rules(self):
        with suppress(Exception):
            return self.s3.client._execute("GET", self.bucket, query_params={"lifecycle": ""}).data.decode()
        return ""

    def days(self):
        """Of the rules of ours, by class."""
        found = self.s3.client.get_bucket_lifecycle(self.bucket)
        ours = [each for each in (found.rules if found else ()) if each.rule_id.startswith("audit-operator/")]
        return {each.rule_filter.prefix.split("class=")[1].strip("/"): each.expiration.days for each in ours}

    def set_rules(self, text):
        body = text.encode()
        headers = {"Content-MD5": md5sum_hash(body)}
        self.s3.client._execute("PUT", self.bucket, body=body, headers=headers, query_params={"lifecycle": ""})

    def upload(self, demand, cluster="main"):
        folder = f"prod/sink={self.name}/cluster={cluster}/class={demand.name}/"
        name = f"{folder}2026/11/28/06/logs_{uuid.uuid4()}.json.gz"
        self.s3.client.put_object(self.bucket, name, io.BytesIO(b"x"), 1)

    def told(self, namespace):
        """In which folder shippers are told to write."""
        metadata = {"name": "central", "uid": "u", "generation": 1, "resourceVersion": "1"}
        spec = json.loads(json.dumps(to_json(self.sink.spec)))
        document = {"metadata": metadata, "spec": spec, "status": {"retention": self.status}}
        return decode(CLUSTER_AUDIT_SINK, document, None).layout.folder("main", namespace)


@asynccontextmanager
async def world(s3, *, versioned=False, bucket="", name="central"):
    made = World(s3, bucket or f"b{uuid.uuid4()}", name=name)
    if not bucket:
        s3.client.make_bucket(made.bucket, object_lock=versioned)
    now = lambda: datetime.now(UTC) + made.ahead  # noqa: E731
    times = RoundTimes(every=0.05, patience=60.0)
    made.rounds = RetentionRounds(made, made, made.write, lambda: None, times, now=now)
    try:
        yield made
    finally:
        with suppress(asyncio.CancelledError):
            await made.rounds.aclose()
        if not bucket and not versioned:
            # This store gives every bucket some of its few volumes.
            for each in s3.client.list_objects(made.bucket, recursive=True):
                s3.client.remove_object(made.bucket, each.object_name)
            s3.client.remove_bucket(made.bucket)


@pytest.mark.parametrize("versioned", [False, True])
async def test_each_class_has_a_rule_of_its_own_beside_those_of_others(s3, versioned):
    async with world(s3, versioned=versioned) as one:
        one.set_rules(FOREIGN)
        made = await one.go(web=MONTH, shop=TWO)
        assert one.days() == {"max30d": 30, "max60d": 60}
        assert one.rules().startswith(FOREIGN.removesuffix("\n</LifecycleConfiguration>"))
        assert made["max30d"].state == "Pending", "what is older than the folder waits for its week"
        made = await one.go(days=GRACE.days, web=MONTH, shop=TWO)
        assert {each.state for each in made.values()} == {"Enforced"}
        assert (one.told("web"), one.told("shop")) == ("cluster=main/class=max30d", "cluster=main/class=max60d")
        assert one.told("unknown") == ""


async def test_a_hold_takes_rules_away_and_when_it_is_lifted_a_week_passes(s3):
    async with world(s3) as one:
        one.set_rules(FOREIGN)
        await one.go(web=MONTH, shop=MONTH)
        one.upload(MONTH)
        await one.go(days=GRACE.days, web=MONTH, shop=MONTH)
        assert one.days() == {"max30d": 30}
        made = await one.go(web=MONTH, shop=HELD)
        assert one.days() == {}
        assert one.rules() == FOREIGN
        assert "1 namespaces with records there forbid it" in made["max30d"].reason
        await one.go(days=1, web=MONTH, shop=MONTH)
        assert "max30d" not in one.days()
        await one.go(days=GRACE.days, web=MONTH, shop=MONTH)
        assert one.days()["max30d"] == 30


async def test_the_folder_of_an_earlier_class_is_kept_as_long_as_the_later_one(s3):
    async with world(s3) as one:
        await one.go(web=MONTH, shop=MONTH)
        one.upload(MONTH)
        await one.go(days=GRACE.days, web=MONTH, shop=MONTH)
        made = await one.go(web=MONTH, shop=TWO)
        assert one.days() == {"max30d": 60, "max60d": 60}
        assert "keep it up to 60d" in made["max30d"].reason
        assert one.told("shop") == "cluster=main/class=max60d"


async def test_a_rule_that_somebody_changes_is_drifted_and_set_again(s3, caplog):
    async with world(s3) as one:
        await one.go(web=MONTH)
        await one.go(days=GRACE.days, web=MONTH)
        before = one.rules()
        async with asyncio.timeout(120):
            # Between two looks of the same round, it is set again without a word.
            while "A rule that the operator had set was changed, and is set again" not in caplog.text:
                one.set_rules(before.replace("<Days>30</Days>", "<Days>3</Days>"))
                await one.go(web=MONTH)
                assert one.rules() == before


async def test_a_sink_that_only_reports_has_no_rule_of_ours_and_says_what_those_of_others_do(s3):
    async with world(s3) as one:
        one.set_rules(FOREIGN)
        await one.go(web=MONTH)
        one.enforcement = "Report"
        made = await one.go(days=GRACE.days, web=MONTH)
        async with asyncio.timeout(120):
            while one.rules() != FOREIGN:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.1)
        assert made["max30d"].state == "Partial"
        theirs = FOREIGN.replace("x/", "prod/").replace("<Days>7</Days>", "<Days>29</Days>")
        theirs = theirs.replace("<And>", "").replace("</And>", "")
        theirs = theirs.replace("<ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>", "")
        one.set_rules(theirs)
        assert (await one.go(web=MONTH))["max30d"].state == "Enforced"
        one.set_rules(FOREIGN)
        assert (await one.go(web=MONTH))["max30d"].state == "Drifted"
        assert one.rules() == FOREIGN


async def test_a_sink_whose_spec_is_edited_keeps_its_rules_and_is_not_said_to_have_drifted(s3):
    async with world(s3) as one:
        await one.go(web=MONTH)
        one.upload(MONTH)
        await one.go(days=GRACE.days, web=MONTH)
        one.secret = "others"
        states, rules = set(), one.rules()

        def note():
            one.write()
            if one.ref in one.rounds.observations:
                states.update(each.state for each in one.rounds.observations[one.ref].status.classes)

        one.rounds.on_change = note
        await one.go(web=MONTH)
        assert states == {"Enforced"}
        assert one.rules() == rules


async def test_the_rules_of_another_sink_in_the_bucket_say_nothing_of_this_one(s3):
    async with world(s3) as one, world(s3, bucket=one.bucket, name="worm") as worm:
        await one.go(web=MONTH)
        await one.go(days=GRACE.days, web=MONTH)
        assert one.days() == {"max30d": 30}
        [said] = (await worm.go(web=Demand(minimum=8760))).values()
        assert said.state == "Enforced"


async def test_a_sink_that_was_set_to_report_while_no_operator_ran_loses_its_rules_all_the_same(s3):
    async with world(s3) as one:
        one.set_rules(FOREIGN)
        await one.go(web=MONTH)
        await one.go(days=GRACE.days, web=MONTH)
        assert one.days() == {"max30d": 30}
        await one.rounds.aclose()
        one.enforcement = "Report"
        one.rounds = replace(one.rounds, observations={}, _followed={}, _protections={}, _parting=set())
        made = await one.go(web=MONTH)
        assert one.rules() == FOREIGN
        assert made["max30d"].state == "Partial"


async def test_a_store_that_is_away_keeps_its_rules_and_shippers_their_folders(s3):
    async with world(s3) as one:
        await one.go(web=MONTH, shop=MONTH)
        await one.go(days=GRACE.days, web=MONTH, shop=MONTH)
        one.away = True
        await one.go(web=MONTH, shop=HELD)
        assert one.told("shop") == "cluster=main/class=max30d"
        assert "no connection" in one.rounds.observations[one.ref].trouble
        one.away = False
        await one.go(web=MONTH, shop=HELD)
        assert one.days() == {}
        assert one.told("shop") == "cluster=main/class=max30d-hold"


async def test_without_memory_nothing_is_deleted_from_folders_in_which_something_lies(s3):
    async with world(s3) as one:
        await one.go(web=MONTH)
        one.upload(MONTH)
        await one.go(days=GRACE.days, web=MONTH)
        assert one.days() == {"max30d": 30}
        one.rounds.follow([], {})
        one.status = {}
        made = await one.go(web=MONTH)
        assert one.days() == {}
        assert "whose records lie there is not known" in made["max30d"].reason


async def test_a_hold_reaches_the_folders_of_a_control_plane_that_ships_no_more(s3):
    async with world(s3) as one:
        await one.go(clusters=("main", "old"), web=MONTH)
        one.upload(MONTH, "old")
        await one.go(clusters=("main", "old"), days=GRACE.days, web=MONTH)
        assert one.rules().count("<Days>30</Days>") == 2
        await one.go(days=31, web=MONTH)
        assert "cluster=old/class=max30d" in [each["name"] for each in one.status["folders"]]
        await one.go(web=HELD)
        assert one.days() == {}
        await one.go(days=1, web=MONTH)
        await one.go(days=GRACE.days, web=MONTH)
        assert "cluster=old/class=max30d/" in one.rules()
        one.rounds.follow([], {})
        async with asyncio.timeout(120):
            while one.days():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.1)


async def test_a_second_writer_is_noticed_and_loses_nothing(s3, monkeypatch):
    """Somebody writes the rules as they were known to him, just after ours were written."""
    async with world(s3) as one:
        one.set_rules(FOREIGN)
        theirs = FOREIGN.replace("<Days>7</Days>", "<Days>8</Days>")
        waiting = [theirs]
        written = s3_orders._write

        def overtaken(*arguments):
            written(*arguments)
            if waiting:
                one.set_rules(waiting.pop())

        monkeypatch.setattr(s3_orders, "_write", overtaken)
        await one.go(web=MONTH)
        assert one.days() == {"max30d": 30}
        assert one.rules().startswith(theirs.removesuffix("\n</LifecycleConfiguration>"))


@pytest.mark.skipif(bool(clock.unavailable()), reason=clock.unavailable())
async def test_the_store_deletes_what_is_due_in_the_folder_of_its_class_and_nothing_else(s3):
    """Seen on SeaweedFS, days later by its clock."""
    short, long, held = Demand(maximum=72), Demand(maximum=216), Demand(maximum=216, legal_hold=True)
    async with world(s3) as one:
        await one.go(web=short, shop=long)
        for each in (short, long):
            for _ in range(3):
                one.upload(each)
        beside = "prod/2026/11/28/06/logs_former.json.gz"
        s3.client.put_object(one.bucket, beside, io.BytesIO(b"x"), 1)
        await one.go(days=GRACE.days, web=short, shop=long)
        assert one.days() == {"max3d": 3, "max9d": 9}

        def left():
            """Objects by class."""
            names = [each.object_name for each in s3.client.list_objects(one.bucket, recursive=True)]
            return {each: sum(f"class={each}/" in name for name in names) for each in ("max3d", "max9d")}

        await asyncio.to_thread(s3.after, 2)
        assert left() == {"max3d": 3, "max9d": 3}
        await asyncio.to_thread(s3.after, 4)
        assert left() == {"max3d": 0, "max9d": 3}
        await one.go(web=short, shop=held)
        await asyncio.to_thread(s3.after, 20)
        assert left() == {"max3d": 0, "max9d": 3}
        await one.go(web=short, shop=long)
        await one.go(days=GRACE.days, web=short, shop=long)
        await asyncio.to_thread(s3.after, 21)
        assert left() == {"max3d": 0, "max9d": 0}
        assert s3.client.stat_object(one.bucket, beside)


@pytest.mark.skipif(bool(clock.unavailable()), reason=clock.unavailable())
@pytest.mark.parametrize("locked", [False, True])
async def test_what_somebody_deletes_before_its_minimum_stays_as_a_version(s3, locked):
    kept = Demand(minimum=720, maximum=2160)
    async with world(s3, versioned=True) as one:
        if locked:
            s3.client.set_object_lock_config(one.bucket, ObjectLockConfig(GOVERNANCE, 30, DAYS))
        await one.go(shop=kept)
        one.upload(kept)
        made = await one.go(days=GRACE.days, shop=kept)
        assert one.days() == {kept.name: 90}
        [stored] = s3.client.list_objects(one.bucket, recursive=True)
        s3.client.remove_object(one.bucket, stored.object_name)
        await asyncio.to_thread(s3.after, 5)
        versions = s3.client.list_objects(one.bucket, recursive=True, include_version=True)
        assert any(not each.is_delete_marker for each in versions)
        [said] = made.values()
        if locked:
            assert said.state == "Enforced"
        else:
            assert "versions of objects stay for 30d more" in said.reason


async def test_a_key_that_may_write_no_rules_is_said_and_rules_of_others_count(s3, monkeypatch):
    def refuse(*_arguments):
        raise S3Error(None, "AccessDenied", "", "", "", "")

    async with world(s3) as one:
        monkeypatch.setattr(s3_orders, "_write", refuse)
        made = await one.go(web=MONTH)
        assert made["max30d"].state == "Partial"
        assert "s3:PutLifecycleConfiguration" in made["max30d"].reason
        assert not one.status["folders"][0].get("deleteAfter")
        one.set_rules(
            FOREIGN.replace("<And><Prefix>x/", "<Prefix>prod/")
            .replace("<ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></And>", "")
            .replace("<Days>7</Days>", "<Days>30</Days>")
        )
        # The week of the announcement runs all the same: what the store does by itself, it does.
        made = await one.go(web=MONTH)
        assert made["max30d"].state == "Pending"
        assert made["max30d"].effective == "deletes after 30d"
        monkeypatch.undo()
        await one.go(web=MONTH)
        assert one.days() == {"max30d": 30}


async def test_sinks_that_share_a_bucket_share_no_folder_and_no_rule(s3):
    async with world(s3) as one, world(s3, bucket=one.bucket, name="other") as other:
        for each in (one, other):
            await each.go(web=MONTH)
            each.upload(MONTH)
            await each.go(days=GRACE.days, web=MONTH)
        rules = one.rules()
        assert rules.count("<Days>30</Days>") == 2
        await other.go(web=HELD)
        await one.go(web=MONTH)
        assert one.rules().count("<Days>30</Days>") == 1
        assert "prod/sink=central/cluster=main/class=max30d/" in one.rules()


async def opened(one, turns):
    return replace(await one.open_retention(one.sink, ("main",)), turns=turns)


async def test_sinks_that_share_a_bucket_take_turns_so_that_none_undoes_what_a_hold_has_done(s3, monkeypatch):
    async with world(s3) as one, world(s3, bucket=one.bucket, name="other") as other:
        turns, where, written = Turns(), Place("main", MONTH.name), s3_orders._write
        mine, theirs = await opened(one, turns), await opened(other, turns)
        assert await mine.enforce((), NOW, {where: Limit(720)}) == Done({})
        has_read, go_on = threading.Event(), threading.Event()

        def slowly(store, text, headers):
            if not has_read.is_set():
                has_read.set()
                go_on.wait(60)
            written(store, text, headers)

        monkeypatch.setattr(s3_orders, "_write", slowly)
        first = asyncio.create_task(theirs.enforce((), NOW, {where: Limit(1440)}))
        await asyncio.to_thread(has_read.wait, 60)
        second = asyncio.create_task(mine.enforce((), NOW, {where: Limit(None, 1)}))
        await asyncio.sleep(0.5)
        go_on.set()
        assert await asyncio.gather(first, second) == [Done({}), Done({})]
        assert "sink=other/" in one.rules()
        assert "sink=central/" not in one.rules()


async def test_an_order_that_nobody_waits_for_any_more_writes_nothing(s3, monkeypatch):
    async with world(s3) as one:
        store, read = await opened(one, Turns()), s3_orders._read
        is_reading, go_on = threading.Event(), threading.Event()

        def slowly(*arguments):
            is_reading.set()
            go_on.wait(60)
            return read(*arguments)

        monkeypatch.setattr(s3_orders, "_read", slowly)
        order = asyncio.create_task(store.enforce((), NOW, {Place("main", MONTH.name): Limit(720)}))
        await asyncio.to_thread(is_reading.wait, 60)
        order.cancel()
        with pytest.raises(asyncio.CancelledError):
            await order
        go_on.set()
        await store.enforce((), NOW)  # has its turn afterwards
        monkeypatch.undo()
        assert one.rules() == ""
