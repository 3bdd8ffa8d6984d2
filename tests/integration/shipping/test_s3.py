"""What the real collector writes to a real S3, and what is found there again."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
import zlib
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from aiohttp import web

from audit_operator.api.audit import Level, Stage
from audit_operator.api.findings import ObjectRef
from audit_operator.api.sink import ClusterAuditSinkSpec
from audit_operator.controlplane.shipper.keeper import ShipperTimes
from audit_operator.controlplane.shipper.local import LocalShipper
from audit_operator.integrity.interval import Interval
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.collector_files import collector_files
from audit_operator.plan.credentials import ACCESS_KEY, SinkCredentials
from audit_operator.plan.shipping import shipping
from audit_operator.policy.model import Request, User
from audit_operator.retention.folders import Layout, Place
from audit_operator.shipping.exporters import (
    AWS_CREDENTIALS,
    CredentialFiles,
    Exporter,
    Room,
    access_key,
    exporter,
)
from audit_operator.sinks import Accepted, Access, Reachable, Reason, Record, Unsupported, open_store
from audit_operator.sinks.s3_scanner import S3Scanner
from audit_operator.sinks.scanning import Stream
from audit_operator.sinks.search import End, search
from audit_operator.sinks.selection import Attribute, Order, Scope, Selection
from tests.integration.shipping.audit_events import event_of, line_of
from tests.integration.shipping.collector import binary, run_collector
from tests.integration.shipping.seaweedfs import KEY, KEY_ID, seaweedfs
from tests.plan.objects import cluster_policy, control_plane, parsed
from tests.ports import free_ports

NOW = datetime.now(UTC).replace(microsecond=123456)
OF_EVENTS = datetime(2026, 11, 28, 6, tzinfo=UTC)
EARLIER = NOW - timedelta(minutes=10)
ACCESS = Access(access_key_id=KEY_ID, secret_access_key=KEY)
BUCKET, LOCKED, SHIPPED, CLASSES = "audit", "audit-locked", "audit-shipped", "audit-by-class"
PROMOTE = {
    "error_mode": "propagate",
    "log_statements": [
        {
            "context": "log",
            "statements": [
                'set(log.attributes["auditID"], ParseJSON(log.body)["auditID"])',
                'set(log.attributes["stage"], "ResponseComplete")',
                "set(log.time, Now())",
            ],
        }
    ],
}


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as running:
        running.client.make_bucket(BUCKET)
        running.client.make_bucket(SHIPPED)
        running.client.make_bucket(LOCKED, object_lock=True)
        yield running


def spec(s3, bucket=BUCKET, **more):
    section = {"bucket": bucket, "prefix": "prod/", "endpoint": s3.url, "pathStyle": True}
    keys = {"type": "AccessKey", "secretRef": {"namespace": "audit", "name": "keys"}}
    document = {"type": "S3", "s3": section, "credentials": keys, **more}
    return ClusterAuditSinkSpec.model_validate_json(json.dumps(document))


def ship(s3, events, tmp_path, key=KEY, bucket=BUCKET):
    """Send events through the collector; what it has not sent when it ends is given up."""
    keys = tmp_path / "keys"
    keys.write_text(access_key({"accessKeyID": KEY_ID.encode(), "secretAccessKey": key.encode()}))
    best_effort = spec(s3, bucket, delivery={"guarantee": "BestEffort"})
    made = exporter(best_effort, "central", CredentialFiles(access_key=str(keys)), Room("file_storage/queues"))
    assert isinstance(made, Exporter)
    pipeline = {"receivers": ["file_log"], "processors": ["transform"], "exporters": [made.id, "file"]}
    config = {
        "processors": {"transform": PROMOTE},
        "exporters": {made.id: made.config},
        "service": {"pipelines": {"logs": pipeline}},
    }
    return run_collector(config, events, tmp_path, environ={AWS_CREDENTIALS: str(keys)})


@pytest.mark.parametrize("bucket", [BUCKET, LOCKED])
async def test_what_the_collector_writes_is_found_by_its_audit_id(s3, tmp_path, bucket):
    names = [str(uuid.uuid4()) for _ in range(2000)]
    ship(s3, [json.dumps({"auditID": each, "x": "y" * 500}).encode() for each in names], tmp_path, bucket=bucket)
    store = open_store(spec(s3, bucket), ACCESS)
    for each in (names[0], names[-1]):
        found = await store.find(each, None, since=EARLIER)
        assert (len(found.records), found.copies, found.complete) == (1, 0, True)
        assert json.loads(found.records[0].text)["auditID"] == each
    written = [each.object_name for each in s3.client.list_objects(bucket, recursive=True)]
    assert all(each.startswith("prod/") for each in written)
    assert len(written) < 10


async def test_the_shipper_of_the_operator_writes_there_waits_where_it_is_refused_and_uses_a_renewed_key(s3, tmp_path):
    log, names = tmp_path / "audit.log", [str(uuid.uuid4()) for _ in range(3)]
    shipper = LocalShipper(tmp_path / "shipper", binary(), log, lambda: None, times=ShipperTimes(look_every=0.5))
    store = open_store(spec(s3, SHIPPED), ACCESS)

    def record(name):
        with log.open("ab") as file:
            for event in (name, f"{name}-2"):
                file.write(line_of(event_of(REQUEST, Stage.RESPONSE_COMPLETE, Level.METADATA, event)) + b"\n")

    try:
        for name, key in zip(names, (KEY, "wrong", KEY), strict=True):
            wanted = files(s3, shipper.places, key)
            assert not await shipper.deliver(wanted)
            await until(runs, shipper, wanted.digest)
            record(name)
            if name != names[1]:
                await until(is_found, store, name)
        await until(is_found, store, *names)
    finally:
        await shipper.deliver(None)
        await shipper.aclose()


REQUEST = Request(User("alice", ("dev",)), "create", True, "", "v1", "team", "pods", "", "a")


def files(s3, places, key, layout=None):
    bucket = SHIPPED if layout is None else CLASSES
    to_s3 = [{"kind": "ClusterAuditSink", "name": "worm"}]
    section = {"bucket": bucket, "prefix": "prod/", "endpoint": s3.url, "pathStyle": True}
    keys = {"type": "AccessKey", "secretRef": {"namespace": "audit", "name": "keys"}}
    snapshot = Snapshot(
        cluster_audit_policies=(cluster_policy(rules=[{"level": "Request"}], sinkRefs=to_s3),),
        cluster_audit_sinks=(parsed("ClusterAuditSink", "worm", {"type": "S3", "s3": section, "credentials": keys}),),
        control_planes=(control_plane(),),
        namespaces=tuple(map(NamespaceFact, ("team", "web", "plain"))),
        layouts={} if layout is None else {ObjectRef("ClusterAuditSink", "worm"): layout},
    )
    sink = snapshot.cluster_audit_sinks[0].ref
    secret = {"accessKeyID": KEY_ID.encode(), "secretAccessKey": key.encode()}
    known = {sink: SinkCredentials({ACCESS_KEY: access_key(secret).encode()})}
    made = collector_files(shipping(snapshot, plan(snapshot), "main"), snapshot, "main", places, known)
    # So long a test need not wait for an object to be worth its while.
    return replace(made, config=made.config.replace('"flush_timeout": "30s"', '"flush_timeout": "1s"'))


MONTH, YEAR = Place("main", "max30d"), Place("main", "min366d")


async def test_records_lie_in_the_folder_of_the_class_of_their_namespace_and_a_change_of_class_restarts_nothing(
    s3, tmp_path
):
    s3.client.make_bucket(CLASSES)
    log, store = tmp_path / "audit.log", open_store(spec(s3, CLASSES), ACCESS)
    shipper = LocalShipper(tmp_path / "shipper", binary(), log, lambda: None, times=ShipperTimes(look_every=0.5))
    recorded = set()

    def record(*namespaces):
        names = {each: str(uuid.uuid4()) for each in namespaces}
        recorded.update(names.values())
        with log.open("ab") as file:
            for namespace, name in names.items():
                request = replace(REQUEST, namespace=namespace, resource="pods" if namespace else "nodes")
                file.write(line_of(event_of(request, Stage.RESPONSE_COMPLETE, Level.METADATA, name)) + b"\n")
        return names

    def folders(names):
        found = {}
        for key in store.keys(EARLIER):
            resources = json.loads(store.read(key, 2**24))["resourceLogs"]
            scopes = [scope for resource in resources for scope in resource["scopeLogs"]]
            for each in (record for scope in scopes for record in scope["logRecords"]):
                values = {one["key"]: one["value"].get("stringValue") for one in each["attributes"]}
                folder = key.removeprefix("prod/").removeprefix("sink=worm/").partition("/20")[0]
                found[values.get("auditID") or values["quarantine"]] = folder
        return {namespace: found.get(name, "") for namespace, name in names.items()}

    async def are_told(layout):
        wanted = files(s3, shipper.places, KEY, layout)
        assert not await shipper.deliver(wanted)
        await until(runs, shipper, wanted.digest)
        return wanted.digest

    async def lie(expected):
        names = record(*expected)
        await until(is_found, store, *names.values())
        found = {namespace: "" if each[:2] == "20" else each for namespace, each in folders(names).items()}
        return found == {namespace: str(place or "") for namespace, place in expected.items()}

    async def is_quarantined():
        """A line that is no event, and may be of any namespace."""
        return folders({"": "no JSON object"})[""][:2] == "20"

    try:
        places = {("main", "team"): MONTH, ("main", "web"): YEAR, ("main", ""): YEAR, ("other", "plain"): YEAR}
        digest = await are_told(Layout(places))
        # A namespace without a class, and one that nobody has seen, lie where nothing is deleted by order.
        with log.open("ab") as file:
            file.write(b"{broken\n")
        await until(lie, {"team": MONTH, "web": YEAR, "": YEAR, "plain": None, "unseen": None})
        await until(is_quarantined)
        assert await are_told(Layout({**places, ("main", "team"): YEAR})) == digest
        await until(lie, {"team": YEAR, "web": YEAR})
        span = Interval(OF_EVENTS, OF_EVENTS + timedelta(hours=2))
        scanned = [each async for each in S3Scanner(store).scan(span, Stream())]
        assert {record.attributes["auditID"] for each in scanned for record in each.records} == recorded
    finally:
        await shipper.deliver(None)
        await shipper.aclose()


@dataclass
class Refusing:
    """Takes objects, but for those whose keys have `refused` in them; `stored` has what events are in which object."""

    refused: str
    refusals: int = 0
    stored: list[tuple[str, str]] = field(default_factory=list)

    async def put(self, request):
        body = await request.read()
        if self.refused and self.refused in request.path:
            self.refusals += 1
            return web.Response(status=403)
        # Around the object may stand what the client signs it with.
        text = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(body[body.index(b"\x1f\x8b") :])
        for resource in json.loads(text)["resourceLogs"]:
            for record in resource["scopeLogs"][0]["logRecords"]:
                values = {each["key"]: each["value"].get("stringValue") for each in record["attributes"]}
                self.stored.append((request.path.partition("class=")[2].partition("/")[0], values["auditID"]))
        return web.Response(headers={"ETag": '"a"'})


@asynccontextmanager
async def shipping_to(bucket, tmp_path, patience):
    """A shipper of the operator's that sends to it what a log gets."""
    application = web.Application(client_max_size=2**26)
    application.router.add_put("/{key:.*}", bucket.put)
    runner, port = web.AppRunner(application, access_log=None, auto_decompress=False), next(free_ports())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    log = tmp_path / "audit.log"
    shipper = LocalShipper(tmp_path / "shipper", binary(), log, lambda: None, times=ShipperTimes(look_every=0.5))
    try:
        layout = Layout({("main", "team"): MONTH, ("main", "web"): YEAR})
        wanted = files(SimpleNamespace(url=f"http://127.0.0.1:{port}"), shipper.places, KEY, layout)
        wanted = replace(
            wanted, config=wanted.config.replace('"folders": {', f'"folders": {{"patience": "{patience}", ')
        )
        assert not await shipper.deliver(wanted)
        await until(runs, shipper, wanted.digest)
        yield log
    finally:
        await shipper.deliver(None)
        await shipper.aclose()
        await runner.cleanup()


def record_in_classes(log, first, last):
    """Events of namespaces of all classes, in turn; which class each has."""
    expected = {}
    with log.open("ab") as file:
        for number in range(first, last):
            namespace = ("team", "web", "plain")[number % 3]
            expected[f"event-{number}"] = {"team": "max30d", "web": "min366d"}.get(namespace, "")
            request = replace(REQUEST, namespace=namespace)
            event = event_of(request, Stage.RESPONSE_COMPLETE, Level.METADATA, f"event-{number}")
            file.write(line_of(event) + b"\n")
    return expected


async def are_stored(bucket, *names):
    return {*names} <= {name for _, name in bucket.stored}


async def is_refused_more_than(bucket, times):
    return bucket.refusals > times


async def test_a_folder_that_is_refused_keeps_no_other_waiting_and_nothing_is_lost_or_stored_again(tmp_path):
    bucket = Refusing("class=max30d")
    async with shipping_to(bucket, tmp_path, "30m") as log:
        expected = record_in_classes(log, 0, 60)
        await until(are_stored, bucket, *(name for name, each in expected.items() if each != "max30d"))
        await until(is_refused_more_than, bucket, bucket.refusals + 1)
        assert "max30d" not in dict(bucket.stored)
        bucket.refused = ""
        await until(are_stored, bucket, *expected)
        assert sorted(bucket.stored) == sorted((each, name) for name, each in expected.items())


async def test_what_a_folder_refuses_for_long_lies_beside_all_folders_and_later_batches_do_not_wait_for_it(tmp_path):
    bucket, expected = Refusing("class=max30d"), {}
    async with shipping_to(bucket, tmp_path, "3s") as log:
        # More batches than the queue has consumers, each with something that is refused.
        for wave in range(4):
            seen = bucket.refusals
            expected |= record_in_classes(log, wave * 30, wave * 30 + 30)
            if wave < 2:
                await until(is_refused_more_than, bucket, seen)
        await until(are_stored, bucket, *expected)
        where = {name: "" if each == "max30d" else each for name, each in expected.items()}
        assert sorted(bucket.stored) == sorted((each, name) for name, each in where.items())
        bucket.refused = ""
        last = record_in_classes(log, 120, 123)
        await until(are_stored, bucket, *last)
        assert {(each, name) for name, each in last.items()} <= {*bucket.stored}


async def runs(shipper, digest):
    (seen,) = await shipper.observe()
    return seen.healthy and seen.config == digest


async def is_found(store, *names):
    return all([len((await store.find(each, None, since=OF_EVENTS)).records) == 1 for each in names])


async def until(condition, *arguments):
    for _ in range(300):
        if await condition(*arguments):
            return
        await asyncio.sleep(0.3)
    raise AssertionError(f"not {condition.__name__}")


async def test_what_is_written_is_found_once_however_often(s3):
    store = open_store(spec(s3), ACCESS)
    record = Record(str(uuid.uuid4()), "ResponseComplete", NOW, '{"n": 9007199254740993}', {"namespace": "ns"})
    assert await store.write(record) == Accepted()
    assert await store.write(record) == Accepted()
    found = await store.find(record.audit_id, "ResponseComplete", since=EARLIER)
    assert found.records == (record,)
    assert (found.copies, found.complete) == (1, True)
    assert not (await store.find(record.audit_id, "Panic", since=EARLIER)).records
    assert not (await store.find(record.audit_id, None, since=NOW + timedelta(hours=1))).records


async def test_records_of_a_namespace_are_searched_in_all_objects_of_the_time(s3):
    store = open_store(spec(s3, SHIPPED), ACCESS)
    marks = [(name, number) for number in range(4) for name in ("a", "b", "")]
    for name, number in marks:
        attributes = {"cluster": "searched", **({"namespace": name} if name else {}), "verb": "get"}
        time = NOW - timedelta(seconds=number)
        await store.write(Record(f"{name}-{number}", "Panic", time, f'{{"said": "{name}.{number}"}}', attributes))
    s3.client.put_object(SHIPPED, "prod/seals/1.json", io.BytesIO(b"no records"), 10)
    selection = Selection(
        (Scope("a"), Scope("", NOW - timedelta(seconds=1))), EARLIER, NOW + timedelta(seconds=1), ("searched",), limit=5
    )

    async def searched(selection):
        async with aclosing(search(store, selection)) as found:
            return [getattr(each, "audit_id", each) async for each in found]

    assert sorted((await searched(selection))[:2]) == ["-0", "a-0"]
    assert (await searched(selection))[-1] == End(0, complete=False)
    everything = replace(selection, limit=10, order=Order.OLDEST)
    assert (await searched(everything))[:2] == ["a-3", "a-2"]
    assert (await searched(everything))[-1] == End(0, complete=True)
    gets = replace(everything, text="a.2", equal=((Attribute.VERB, "get"),))
    assert await searched(gets) == ["a-2", End(0, complete=True)]
    assert await searched(replace(everything, equal=((Attribute.VERB, "list"),))) == [End(0, complete=True)]


async def test_a_bucket_is_checked_without_writing(s3):
    before = len(list(s3.client.list_objects(BUCKET, recursive=True)))
    assert await open_store(spec(s3), ACCESS).check() == Reachable()
    assert len(list(s3.client.list_objects(BUCKET, recursive=True))) == before
    assert isinstance(await open_store(spec(s3), ACCESS).health(), Unsupported)


@pytest.mark.parametrize(
    ("bucket", "access", "reason"),
    [
        ("no-such-bucket", ACCESS, Reason.NOT_FOUND),
        (BUCKET, Access(access_key_id=KEY_ID, secret_access_key="wrong"), Reason.FORBIDDEN),
        (BUCKET, Access(access_key_id="nobody", secret_access_key=KEY), Reason.FORBIDDEN),
        (BUCKET, Access(), Reason.FORBIDDEN),
    ],
)
async def test_what_is_wrong_is_said_and_no_secret_is_repeated(s3, bucket, access, reason):
    """A question without a body, such as whether a bucket is there, is not refused in words."""
    store = open_store(spec(s3, bucket), access)
    answer = await store.check()
    assert answer.reason is reason
    if reason is Reason.FORBIDDEN:
        answer = await store.write(Record("a", "Panic", NOW, "{}"))
        assert answer.reason is (Reason.UNAUTHENTICATED if access.access_key_id else Reason.FORBIDDEN)
    assert answer.mend
    assert access.secret_access_key not in f"{answer} {access} {store}" or not access.secret_access_key


async def test_a_store_that_is_not_there_is_said():
    section = {"bucket": BUCKET, "endpoint": "http://127.0.0.1:1", "pathStyle": True}
    sink = ClusterAuditSinkSpec.model_validate_json(json.dumps({"type": "S3", "s3": section}))
    assert (await open_store(sink, ACCESS).check()).reason is Reason.UNREACHABLE
