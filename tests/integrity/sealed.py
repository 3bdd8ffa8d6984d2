"""Seals and records for tests."""

from datetime import UTC, datetime, timedelta

from audit_operator.integrity import seal as seals
from audit_operator.integrity.interval import Interval, moment, to_nanoseconds
from audit_operator.integrity.keys import SigningKey
from audit_operator.integrity.record import StoredRecord
from audit_operator.integrity.seal import NO_SEAL, BucketSum, LeafList, Scope, Seal, SealKind
from audit_operator.integrity.tally import Tally, total

KEY = SigningKey.make()
SCOPE = Scope(sink="ClusterAuditSink/central", cluster="prod")
START, HOUR = datetime(2026, 11, 28, 10, tzinfo=UTC), timedelta(hours=1)


def hour(number):
    return Interval(START + number * HOUR, START + (number + 1) * HOUR)


def seal_of(sequence, *, interval=None, previous=NO_SEAL, kind=SealKind.INTERVAL, key=KEY, **more):
    """A signed one, of the first hour and without records unless told otherwise."""
    interval = interval or hour(0)
    sums = Tally(interval).sums()
    whole = total(sums)
    return key.sign(
        Seal(
            **{
                "kind": kind,
                "scope": SCOPE,
                "sequence": sequence,
                "since": moment(interval.since),
                "until": moment(interval.until),
                "sealed_at": moment(interval.until + HOUR),
                "records": whole.records,
                "root": whole.root.hex(),
                "buckets": tuple(BucketSum(records=each.records, root=each.root.hex()) for each in sums),
                "leaves": LeafList(digest="0" * 64, records=whole.records),
                "previous": previous,
                "key_id": "0" * 16,
                **more,
            }
        )
    )


def chain_of(count, key=KEY):
    """Bytes of a chain of so many hours, by number."""
    held, previous = {}, NO_SEAL
    for number in range(1, count + 1):
        held[number] = seal_of(number, interval=hour(number - 1), previous=previous, key=key).encode()
        previous = seals.digest(held[number])
    return held


def record(number, at, namespace="team", **more):
    """An audit event at so many seconds after the start."""
    attributes = {"auditID": f"id-{number}", "stage": "ResponseComplete", "namespace": namespace, "cluster": "prod"}
    nanoseconds = to_nanoseconds(START + timedelta(seconds=at))
    return StoredRecord(nanoseconds, f'{{"auditID":"id-{number}","verb":"get"}}', {**attributes, **more})
