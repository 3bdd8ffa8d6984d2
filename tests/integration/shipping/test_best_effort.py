"""Sinks with BestEffort whose stores are not there at first: what is lost to them is counted, and no other sink waits.

All at once, since each gives up after a minute at the earliest, and S3 gathers for half a minute before.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter

import pytest

from audit_operator.shipping.exporters import AWS_CREDENTIALS, access_key
from tests.integration.shipping.lines_shipper import Shipper, made, until
from tests.integration.shipping.otlp_receiver import Receiver
from tests.integration.shipping.seaweedfs import WRITERS_ID, WRITERS_KEY, seaweedfs
from tests.integration.shipping.test_dated_files import ids as of_files
from tests.integration.shipping.test_delivery import stored, victoria
from tests.integration.shipping.victoria_logs import victoria_logs

LOST, MORE = 3000, 50
ROOM, GATHERED = 150_000, 2**24
"""Bytes of a queue: for one request of the reader, and not for another; and where requests are gathered."""
BUCKET = "audit"
BEST_EFFORT = {"delivery": {"guarantee": "BestEffort"}}


@pytest.fixture
def s3(tmp_path):
    with seaweedfs(tmp_path / "seaweedfs") as running:
        yield running


@pytest.fixture
def store(tmp_path):
    with victoria_logs(tmp_path) as url:
        yield url


@pytest.fixture
def receiver(tmp_path):
    return Receiver(tmp_path / "receiver")


@pytest.fixture
def shipper(tmp_path, s3, store, receiver):
    (tmp_path / "keys").write_text(
        access_key({"accessKeyID": WRITERS_ID.encode(), "secretAccessKey": WRITERS_KEY.encode()})
    )
    bucket = {"bucket": BUCKET, "endpoint": s3.url, "pathStyle": True}
    keys = {"type": "AccessKey", "secretRef": {"namespace": "audit", "name": "keys"}}
    loose = {
        "bucket": {"type": "S3", "s3": bucket, "credentials": keys},
        "files": {"type": "File", "file": {"claimName": "audit"}},
        "receiver": {"type": "OTLP", "otlp": {"endpoint": f"http://{receiver.address}", "protocol": "GRPC"}},
    }
    exporters = [
        made({**spec, **BEST_EFFORT}, tmp_path, name=name, in_memory=GATHERED if name == "bucket" else ROOM)
        for name, spec in loose.items()
    ]
    environ = {AWS_CREDENTIALS: str(tmp_path / "keys")}
    running = Shipper(tmp_path, *exporters, made(victoria(store), tmp_path), environ=environ)
    yield running
    running.stop()


async def test_what_is_lost_to_stores_that_are_not_there_is_counted_exactly_and_what_comes_later_arrives(
    tmp_path, shipper, s3, store, receiver
):
    (tmp_path / "files").write_text("no folder")
    shipper.append(0, LOST)
    await shipper.start()

    async def all_stored():
        return len(await stored(store)) == LOST

    await until(all_stored, "all events, where a store is")
    assert not any((await figures(shipper, "send_failed")).values())

    async def all_counted():
        lost = await figures(shipper, "enqueue_failed") + await figures(shipper, "send_failed")
        return {lost[each] for each in ("bucket", "files", "receiver")} == {LOST}

    await until(all_counted, "all that is lost to the others to be counted")
    assert (await figures(shipper, "enqueue_failed"))["files"]
    assert (await figures(shipper, "send_failed"))["files"]
    assert BUCKET not in {each.name for each in s3.client.list_buckets()}
    s3.client.make_bucket(BUCKET)
    (tmp_path / "files").unlink()
    with receiver.running():
        shipper.append(LOST, LOST + MORE)
        expected = Counter(f"id-{number}" for number in range(LOST, LOST + MORE))
        await until(lambda: of_files(tmp_path / "files") == expected, "what comes later in files")
        await until(lambda: of_receiver(receiver) == expected, "what comes later at the receiver")
        await until(lambda: of_bucket(s3) == expected, "what comes later in the bucket")
    assert await all_counted()
    assert (await stored(store)).total() == LOST + MORE
    assert not (await figures(shipper, "enqueue_failed"))["central"]


async def figures(shipper, kind):
    """Records by the name of the exporter."""
    text = await shipper.metrics_text()
    found = Counter()
    pattern = rf'^otelcol_exporter_{kind}_log_records(?:_total)?\{{.*exporter="[^/"]+/([^"]+)".*\}} (\S+)$'
    for name, value in re.findall(pattern, text, re.MULTILINE):
        found[name] += int(float(value))
    return found


def of_receiver(receiver):
    return Counter(each.attributes["auditID"] for each in receiver.records)


def of_bucket(s3):
    found = Counter()
    for each in s3.client.list_objects(BUCKET, recursive=True):
        answer = s3.client.get_object(BUCKET, each.object_name)
        body = answer.read()
        answer.close()
        text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        for resource in json.loads(text)["resourceLogs"]:
            for scope in resource["scopeLogs"]:
                for record in scope["logRecords"]:
                    attributes = {one["key"]: one["value"].get("stringValue") for one in record["attributes"]}
                    found[attributes["auditID"]] += 1
    return found
