"""What a real S3 says it keeps, what it really refuses to delete, and who can delete all the same."""

from __future__ import annotations

import io
import json
import urllib.request
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import minio
import pytest
from minio.commonconfig import COMPLIANCE, ENABLED, GOVERNANCE, CopySource, Filter
from minio.deleteobjects import DeleteObject
from minio.lifecycleconfig import Expiration, LifecycleConfig, NoncurrentVersionExpiration, Rule
from minio.objectlockconfig import DAYS, ObjectLockConfig
from minio.retention import Retention
from minio.versioningconfig import SUSPENDED, VersioningConfig

from audit_operator.api.policy_status import RetentionState
from audit_operator.api.sink import ClusterAuditSinkSpec
from audit_operator.retention.classes import RetentionClass
from audit_operator.retention.demand import Demand
from audit_operator.retention.judgement import judge
from audit_operator.sinks import Accepted, Access, Record, open_store
from audit_operator.sinks.retention.protocol import Observed
from audit_operator.sinks.retention.s3 import S3Retention
from tests.integration.shipping.seaweedfs import KEY, KEY_ID, client, seaweedfs

DAY = 24
MOMENT = timedelta(seconds=3)
WORM = RetentionClass(Demand(minimum=30 * DAY, immutable=True), ("payments",))
SHORT = RetentionClass(Demand(maximum=10 * DAY), ("web",))


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as running:
        yield running


@pytest.fixture
def bucket(s3, request):
    """Of its own for each test, with Object Lock."""
    name = "b" + "".join(each for each in request.node.name.lower() if each.isalnum())[-50:]
    s3.client.make_bucket(name, object_lock=True)
    return name


@pytest.fixture(scope="module")
def attacked(s3):
    """One for all attempts: this store gives every bucket some of its few volumes."""
    s3.client.make_bucket("attacked", object_lock=True)
    return "attacked"


def sink(s3, bucket, mode="Compliance"):
    section = {"bucket": bucket, "prefix": "prod/", "endpoint": s3.url, "pathStyle": True}
    section |= {"objectLock": {"mode": mode}} if mode else {}
    return ClusterAuditSinkSpec.model_validate_json(json.dumps({"type": "S3", "s3": section}))


def store(s3, bucket, mode="Compliance"):
    return open_store(sink(s3, bucket, mode), Access(access_key_id=KEY_ID, secret_access_key=KEY))


async def judged(s3, bucket, wanted, mode="Compliance"):
    keeps = S3Retention(store(s3, bucket, mode), locked=MOMENT)
    seen = await keeps.observe([wanted], datetime.now(UTC))
    assert isinstance(seen, Observed), seen
    # As for a sink that only reports.
    return judge(wanted, replace(seen.facts[wanted.name], can_delete=False), keeps.mends)


def lock_by_default(s3, bucket, mode=COMPLIANCE, days=30):
    s3.client.set_object_lock_config(bucket, ObjectLockConfig(mode, days, DAYS))


async def record_written(s3, bucket):
    record = Record("a", "ResponseComplete", datetime.now(UTC), json.dumps({"auditID": "a"}))
    assert await store(s3, bucket).write(record) == Accepted()


async def test_a_bucket_that_locks_long_enough_and_refuses_to_delete_is_enforced(s3, bucket):
    lock_by_default(s3, bucket)
    await record_written(s3, bucket)
    for _ in range(2):
        assert (await judged(s3, bucket, WORM)).state is RetentionState.ENFORCED
    seen = await S3Retention(store(s3, bucket), locked=MOMENT).observe([WORM], datetime.now(UTC))
    assert seen.facts[WORM.name].immutable
    assert datetime.now(UTC) - seen.facts[WORM.name].oldest < timedelta(minutes=5)


async def test_what_is_missing_is_said(s3, bucket):
    async def reason(mode="Compliance"):
        made = await judged(s3, bucket, WORM, mode)
        assert made.state is RetentionState.UNSUPPORTED
        return made.reason

    assert "the bucket's default is not locked" in await reason()
    assert "set spec.s3.objectLock in the sink" in await reason(mode=None)
    await record_written(s3, bucket)
    lock_by_default(s3, bucket)
    assert "the newest object is not locked" in await reason()
    lock_by_default(s3, bucket, days=7)
    assert "the bucket's default is locked Compliance for 7d" in await reason()
    lock_by_default(s3, bucket, GOVERNANCE)
    assert "the bucket's default is locked Governance for 30d" in await reason()


async def test_a_bucket_without_object_lock_cannot_be_immutable(s3):
    s3.client.make_bucket("plain")
    made = await judged(s3, "plain", WORM)
    assert made.state is RetentionState.UNSUPPORTED
    assert "locked on trial" in made.reason


async def test_lifecycle_rules_of_anybody_count_and_are_left_alone(s3):
    s3.client.make_bucket("ruled")
    assert (await judged(s3, "ruled", SHORT)).state is RetentionState.PARTIAL
    rules = [
        Rule(ENABLED, rule_filter=Filter(prefix="elsewhere/"), rule_id="foreign", expiration=Expiration(days=1)),
        Rule(ENABLED, rule_filter=Filter(prefix="prod/"), rule_id="ours", expiration=Expiration(days=10)),
    ]
    s3.client.set_bucket_lifecycle("ruled", LifecycleConfig(rules))
    assert (await judged(s3, "ruled", SHORT)).state is RetentionState.ENFORCED
    long = await judged(s3, "ruled", RetentionClass(Demand(minimum=30 * DAY), ("web",)))
    assert "the store deletes after 10d" in long.reason
    assert [each.rule_id for each in s3.client.get_bucket_lifecycle("ruled").rules] == ["foreign", "ours"]


async def test_versions_that_are_no_longer_current_must_go_too(s3, bucket):
    def expire(**more):
        rule = Rule(ENABLED, rule_filter=Filter(prefix="prod/"), rule_id="ours", expiration=Expiration(days=9), **more)
        s3.client.set_bucket_lifecycle(bucket, LifecycleConfig([rule]))

    expire()
    made = await judged(s3, bucket, SHORT)
    assert made.state is RetentionState.PARTIAL
    assert "all of their versions" in made.reason
    expire(noncurrent_version_expiration=NoncurrentVersionExpiration(noncurrent_days=1))
    assert (await judged(s3, bucket, SHORT)).state is RetentionState.ENFORCED


def delete_version(s3, bucket, written):
    s3.client.remove_object(bucket, written.object_name, version_id=written.version_id)


def delete_in_a_batch(s3, bucket, written):
    each = DeleteObject(written.object_name, written.version_id)
    raise_first(s3.client.remove_objects(bucket, [each]))


def delete_in_a_batch_with_bypass(s3, bucket, written):
    each = DeleteObject(written.object_name, written.version_id)
    raise_first(s3.client.remove_objects(bucket, [each], bypass_governance_mode=True))


def raise_first(errors):
    for each in errors:
        raise PermissionError(each.code)


def shorten(s3, bucket, written):
    sooner = Retention(COMPLIANCE, datetime.now(UTC) + timedelta(seconds=5))
    s3.client.set_object_retention(bucket, written.object_name, sooner, version_id=written.version_id)


def weaken(s3, bucket, written):
    governed = Retention(GOVERNANCE, datetime.now(UTC) + timedelta(days=60))
    s3.client.set_object_retention(bucket, written.object_name, governed, version_id=written.version_id)


def take_the_lock_off(s3, bucket, written):
    s3.client._execute(
        "PUT",
        bucket,
        written.object_name,
        body=b"<Retention></Retention>",
        headers={"Content-MD5": minio.helpers.md5sum_hash(b"<Retention></Retention>")},
        query_params={"retention": "", "versionId": written.version_id},
    )


def suspend_versioning(s3, bucket, _written):
    s3.client.set_bucket_versioning(bucket, VersioningConfig(SUSPENDED))


def delete_the_bucket(s3, bucket, _written):
    s3.client.remove_bucket(bucket)


REFUSED = [
    delete_version,
    delete_in_a_batch,
    delete_in_a_batch_with_bypass,
    shorten,
    weaken,
    take_the_lock_off,
    suspend_versioning,
    delete_the_bucket,
]


def hide(s3, bucket, written):
    s3.client.remove_object(bucket, written.object_name)


def overwrite(s3, bucket, written):
    s3.client.put_object(bucket, written.object_name, io.BytesIO(b"forged"), 6)


def overwrite_by_a_copy(s3, bucket, written):
    s3.client.put_object(bucket, "prod/forged", io.BytesIO(b"forged"), 6)
    s3.client.copy_object(bucket, written.object_name, CopySource(bucket, "prod/forged"))


def forget_the_default(s3, bucket, _written):
    s3.client.delete_object_lock_config(bucket)


HARMLESS = [hide, overwrite, overwrite_by_a_copy, forget_the_default]


def locked_object(s3, bucket):
    lock_by_default(s3, bucket)
    return s3.client.put_object(bucket, f"prod/2026/11/28/06/logs_{uuid.uuid4()}.json.gz", io.BytesIO(b"records"), 7)


def still_there(s3, bucket, written):
    answer = s3.client.get_object(bucket, written.object_name, version_id=written.version_id)
    try:
        return answer.read() == b"records"
    finally:
        answer.close()
        answer.release_conn()


@pytest.mark.parametrize("attempt", REFUSED, ids=lambda each: each.__name__)
def test_no_way_to_delete_a_locked_object_is_let_through(s3, attacked, attempt):
    written = locked_object(s3, attacked)
    before = s3.client.get_object_retention(attacked, written.object_name, version_id=written.version_id)
    with pytest.raises((minio.error.S3Error, PermissionError)):
        attempt(s3, attacked, written)
    assert still_there(s3, attacked, written)
    after = s3.client.get_object_retention(attacked, written.object_name, version_id=written.version_id)
    assert (after.mode, after.retain_until_date) == (before.mode, before.retain_until_date)


@pytest.mark.parametrize("attempt", HARMLESS, ids=lambda each: each.__name__)
def test_what_is_let_through_takes_no_locked_version_away(s3, attacked, attempt):
    written = locked_object(s3, attacked)
    attempt(s3, attacked, written)
    assert still_there(s3, attacked, written)
    with pytest.raises(minio.error.S3Error):
        delete_version(s3, attacked, written)


def test_whoever_reaches_the_filer_can_delete_what_is_locked(s3, bucket):
    """The hole of the admin plane, which docs and status name: that this store has it is no wish of ours."""
    written = locked_object(s3, bucket)
    request = urllib.request.Request(f"{s3.filer}/buckets/{bucket}?recursive=true", method="DELETE")  # noqa: S310
    with urllib.request.urlopen(request, timeout=60):  # noqa: S310  # on loopback
        pass
    with pytest.raises(minio.error.S3Error):
        client(s3.url.removeprefix("http://")).get_object(
            bucket, written.object_name, version_id=written.version_id
        ).read()
