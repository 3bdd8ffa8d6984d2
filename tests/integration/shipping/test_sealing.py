"""What `seal` and `verify` say about real stores in which somebody deletes, changes and adds."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import time
import urllib.parse
import urllib.request
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from minio.commonconfig import COMPLIANCE, CopySource
from minio.objectlockconfig import DAYS, ObjectLockConfig

from audit_operator.api.sink import ClusterAuditSinkSpec
from audit_operator.integrity.interval import Interval, begin
from audit_operator.integrity.signed import Scope
from audit_operator.sinks import Accepted, Access, Failure, Record, open_store
from audit_operator.sinks.scanning import Stream
from audit_operator.sinks.seal_opening import archive_of, scanner_of
from audit_operator.sinks.victoria_logs_scanner import VictoriaLogsScanner
from tests.integration.reading.records import write
from tests.integration.shipping.seaweedfs import KEY, KEY_ID, seaweedfs
from tests.integration.shipping.victoria_logs import victoria_logs

HOUR = timedelta(hours=1)
START = begin(datetime.now(UTC) - 5 * HOUR, HOUR)
SINCE = (
    "--since",
    START.isoformat(),
    "--lateness",
    f"{(datetime.now(UTC) - START - 4 * HOUR) // timedelta(minutes=1)}m",
)
"""So that four hours are due, also where another one begins while a test runs."""
RECORDS, SEALS = 240, "audit-seals"


def record(number, **more):
    """Of one of the first four hours, all of which are over and late enough."""
    at = START + number * 4 * HOUR / RECORDS + timedelta(microseconds=number)
    text = json.dumps({"auditID": f"id-{number}", "verb": "get", "user": {"username": "ü\u2028😀"}})
    attributes = {"namespace": f"team-{number % 3}", "cluster": "prod", "code": "200"}
    return Record(f"id-{number}", "ResponseComplete", at, text, {**attributes, **more})


ALL = [record(number) for number in range(RECORDS)]


def victoria_logs_sink(url):
    return {
        "apiVersion": "audit-operator.dev/v1alpha1",
        "kind": "ClusterAuditSink",
        "metadata": {"name": "central"},
        "spec": {"type": "VictoriaLogs", "victoriaLogs": {"url": url}},
    }


def s3_sink(name, url, bucket):
    keys = {"type": "AccessKey", "secretRef": {"namespace": "audit", "name": "keys"}}
    section = {"bucket": bucket, "prefix": "prod/", "endpoint": url, "pathStyle": True}
    return {
        "apiVersion": "audit-operator.dev/v1alpha1",
        "kind": "ClusterAuditSink",
        "metadata": {"name": name},
        "spec": {"type": "S3", "s3": section, "credentials": keys},
    }


SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"namespace": "audit", "name": "keys"},
    "stringData": {"accessKeyID": KEY_ID, "secretAccessKey": KEY},
}


def found(verified):
    """What was found, without that these tests seal later than one should."""
    return Counter((each["id"], each.get("auditID")) for each in verified.findings if each["id"] != "sealed-late")


def delete(url, audit_id):
    """As an administrator of the store would."""
    form = urllib.parse.urlencode({"filter": f'auditID:="{audit_id}"'}).encode()
    with urllib.request.urlopen(f"{url}/delete/run_task", form, timeout=30) as answer:  # noqa: S310  # loopback
        assert answer.status == 200
    deadline = time.monotonic() + 180
    while _has(url, audit_id):
        assert time.monotonic() < deadline, "the store does not delete"
        time.sleep(0.2)


def _has(url, audit_id):
    form = urllib.parse.urlencode({"query": f'auditID:="{audit_id}"'}).encode()
    with urllib.request.urlopen(f"{url}/select/logsql/query", form, timeout=30) as answer:  # noqa: S310  # loopback
        return bool(answer.read())


def test_what_an_administrator_of_victoria_logs_deletes_changes_and_adds_is_named(tmp_path, commands):
    with victoria_logs(tmp_path, "-retentionPeriod=30d", "-delete.enable") as url:
        commands.of(victoria_logs_sink(url))
        write(url, ALL)
        sealed = commands.seal("--new-chain", *SINCE)
        assert (sealed.status, [each["records"] for each in sealed.seals]) == (0, [60, 60, 60, 60])
        assert commands.seal(*SINCE).seals == []
        untouched = commands.verify()
        assert (untouched.status, untouched.records, found(untouched)) == (0, RECORDS, Counter())

        write(url, ALL[::7])  # once more, as after a lost answer
        assert (commands.verify().status, found(commands.verify())) == (0, Counter())

        for number in (10, 70, 71, 72):
            delete(url, f"id-{number}")
        write(
            url,
            [
                replace(ALL[70], text=ALL[70].text.replace("get", "put")),
                replace(ALL[71], attributes={**ALL[71].attributes, "code": "403"}),
                replace(ALL[72], time=ALL[72].time + timedelta(microseconds=1)),
                replace(ALL[200], audit_id="forged"),
            ],
        )
        verified = commands.verify()
        assert verified.status == 1
        assert found(verified) == {
            ("record-removed", "id-10"): 1,
            ("record-changed", "id-70"): 1,
            ("record-changed", "id-71"): 1,
            ("record-moved", "id-72"): 1,
            ("record-unsealed", "forged"): 1,
        }
        removed = next(each for each in verified.findings if each["id"] == "record-removed")
        assert (removed["since"], removed["seal"]) == (f"{START:%Y-%m-%dT%H:%M:%SZ}", 1)

        # Where all that was sealed is there, what is new counts as late; elsewhere nothing is added.
        late = commands.seal(*SINCE, "--late", "9h")
        assert late.status == 1
        assert [(each["seal"], each["records"], each["missing"]) for each in late.seals] == [
            (None, 0, 1),
            (None, 0, 3),
            (None, 0, 0),
            (5, 1, 0),
        ]
        assert found(commands.verify())["records-late", None] == 1
        assert len(list((tmp_path / "seals").rglob("*.json"))) == 5


async def test_every_record_is_read_once_whatever_the_size_of_a_request(tmp_path):
    with victoria_logs(tmp_path, "-retentionPeriod=30d") as url:
        await asyncio.to_thread(write, url, ALL)
        store = open_store(ClusterAuditSinkSpec.model_validate(victoria_logs_sink(url)["spec"], strict=False), Access())
        for most in (1, 7, 10_000):
            scanner, seen = VictoriaLogsScanner(store, most_at_once=most), Counter()
            for since, until in ((START, START + HOUR), (START + HOUR, START + 4 * HOUR)):
                async for batch in scanner.scan(Interval(since, until), Stream(cluster="prod")):
                    assert not isinstance(batch, Failure)
                    seen.update(each.attributes["auditID"] for each in batch.records)
            assert seen == Counter(each.audit_id for each in ALL)
        span = Interval(START, START + 4 * HOUR)
        read = [each async for batch in scanner.scan(span, Stream(namespace="team-1")) for each in batch.records]
        assert {each.attributes["namespace"] for each in read} == {"team-1"}
        assert len(read) == RECORDS // 3


def test_what_happens_to_objects_in_a_bucket_is_named_and_seals_are_not_replaced(tmp_path, commands):
    with seaweedfs(tmp_path / "weed") as s3:
        s3.client.make_bucket("audit")
        s3.client.make_bucket(SEALS, object_lock=True)
        s3.client.set_object_lock_config(SEALS, ObjectLockConfig(COMPLIANCE, 1, DAYS))
        commands.of(s3_sink("central", s3.url, "audit"), s3_sink("worm", s3.url, SEALS), SECRET)
        keys = asyncio.run(put(s3, ALL[::10]))
        place = ("--seals-sink", "worm")
        sealed = commands.seal("--new-chain", *SINCE, place=place)
        assert (sealed.status, [each["records"] for each in sealed.seals]) == (0, [6, 6, 6, 6])
        assert (commands.verify(place=place).status, commands.verify(place=place).records) == (0, 24)

        forged = gzip.decompress(s3.client.get_object("audit", keys[3]).read(decode_content=False))
        overwrite(s3, keys[3], gzip.compress(forged.replace(b"403", b"200").replace(b"200", b"403")))
        s3.client.remove_object("audit", keys[5])
        overwrite(s3, keys[7], b"not gzip")
        s3.client.copy_object("audit", keys[9].replace(".json", "-copy.json"), CopySource("audit", keys[9]))
        asyncio.run(put(s3, [replace(ALL[11], audit_id="forged")]))
        verified = commands.verify(place=place)
        assert verified.status == 1
        assert found(verified) == {
            ("record-changed", "id-30"): 1,
            ("record-removed", "id-50"): 1,
            ("record-removed", "id-70"): 1,
            ("object-unreadable", None): 1,
            ("record-unsealed", "forged"): 1,
        }

        [first, *_] = sorted(
            each.object_name
            for each in s3.client.list_objects(SEALS, recursive=True)
            if each.object_name.endswith(".json")
        )
        assert first == "prod/seals/sink=ClusterAuditSink/central/000000000001.json"
        s3.client.remove_object(SEALS, first)  # which only hides it
        assert found(commands.verify(place=place)) == found(verified) + Counter({("seal-meddled", None): 1})
        content = io.BytesIO(b"another")
        s3.client.put_object(SEALS, first, content, 7)  # of which no condition knows
        assert found(commands.verify(place=place)) == found(verified) + Counter({("seal-meddled", None): 1})
        [marker] = [
            each.version_id
            for each in s3.client.list_objects(SEALS, prefix=first, include_version=True)
            if each.is_delete_marker
        ]
        s3.client.remove_object(SEALS, first, version_id=marker)
        assert ("seal-meddled", None) in found(commands.verify(place=place))

        worm = asyncio.run(inventory(s3, SEALS))
        assert (worm.numbers, worm.meddled, worm.remembers) == ((1, 2, 3, 4), (1,), True)

        s3.client.make_bucket("unversioned")
        commands.of(s3_sink("central", s3.url, "audit"), s3_sink("worm", s3.url, "unversioned"), SECRET)
        assert len(commands.seal("--new-chain", *SINCE, place=place).seals) == 4
        assert found(commands.verify(place=place)) == {("object-unreadable", None): 1}
        forgetful = asyncio.run(inventory(s3, "unversioned"))
        assert (forgetful.numbers, forgetful.meddled, forgetful.remembers) == ((1, 2, 3, 4), (), False)


async def inventory(s3, bucket):
    spec = ClusterAuditSinkSpec.model_validate_json(json.dumps(s3_sink("worm", s3.url, bucket)["spec"]))
    store = open_store(spec, Access(access_key_id=KEY_ID, secret_access_key=KEY))
    return await archive_of(store, Scope(sink="ClusterAuditSink/central")).inventory()


async def put(s3, records):
    """Each in an object of its own; gives their keys."""
    document = s3_sink("central", s3.url, "audit")["spec"]
    access = Access(access_key_id=KEY_ID, secret_access_key=KEY)
    store = open_store(ClusterAuditSinkSpec.model_validate_json(json.dumps(document)), access)
    assert scanner_of(store).by_time is False
    before = {each.object_name for each in s3.client.list_objects("audit", recursive=True)}
    keys = []
    for each in records:
        assert await store.write(each) == Accepted()
        [new] = {one.object_name for one in s3.client.list_objects("audit", recursive=True)} - before
        before.add(new)
        keys.append(new)
    return keys


def overwrite(s3, key, content):
    s3.client.put_object("audit", key, io.BytesIO(content), len(content), metadata={"X": str(uuid.uuid4())})
