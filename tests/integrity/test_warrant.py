"""A warrant excuses the records that it names, in the store that it names, if it is signed by whoever may erase."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from audit_operator.integrity.comparison import Missing, excused
from audit_operator.integrity.discovery import Kind
from audit_operator.integrity.interval import Interval
from audit_operator.integrity.keys import SigningKey
from audit_operator.integrity.leaves import Entry
from audit_operator.integrity.record import Identity
from audit_operator.integrity.warrant import decode, of_leaves, warranted

KEY = SigningKey.make()
CENTRAL = "ClusterAuditSink/central"
LEAVES = [bytes([number]) * 32 for number in range(3)]
HOUR = Interval(datetime(2026, 11, 28, tzinfo=UTC), datetime(2026, 11, 28, tzinfo=UTC) + timedelta(hours=1))


def warrant(sink=CENTRAL, key=KEY):
    return key.sign(of_leaves("20261128-1", "2026-11-28T00:00:00Z", sink, LEAVES))


def missing(number):
    return Missing(HOUR, 7, Entry(bytes([number]) * 8, 0, Identity(f"id-{number}")))


def test_it_is_read_as_it_was_written_and_not_otherwise():
    assert decode(warrant().encode()) == warrant()
    for wrong in (b"", b"{}", warrant().encode() + b"\n", warrant().encode().replace(b'"version":1', b'"version": 1')):
        assert decode(wrong) is None


def test_only_what_is_signed_for_that_store_counts():
    assert warranted([warrant()], CENTRAL, [KEY.public]) == {each[:8]: "20261128-1" for each in LEAVES}
    assert warranted([warrant("ClusterAuditSink/other")], CENTRAL, [KEY.public]) == {}
    assert warranted([warrant(key=SigningKey.make())], CENTRAL, [KEY.public]) == {}
    changed = warrant().model_copy(update={"leaves": ("ff" * 8,)})
    assert warranted([changed], CENTRAL, [KEY.public]) == {}


def test_what_it_names_is_told_and_everything_else_stays_missing():
    left, told = excused([missing(number) for number in (0, 1, 5)], warranted([warrant()], CENTRAL, [KEY.public]))
    assert [each.entry.identity.audit_id for each in left] == ["id-5"]
    [discovery] = told
    assert (discovery.kind, discovery.records, discovery.seal) == (Kind.RECORDS_ERASED, 2, 7)
    assert "erasure 20261128-1" in discovery.message
    assert excused([missing(5)], {}) == ([missing(5)], [])
