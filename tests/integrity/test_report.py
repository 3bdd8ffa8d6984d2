from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.findings import Severity
from audit_operator.integrity import report as reports
from audit_operator.integrity import seal as seals
from audit_operator.integrity.discovery import Discovery, Kind
from audit_operator.integrity.keys import SigningKey
from audit_operator.integrity.report import MOST_NOTED, Head, noted
from tests.integrity.reported import REPORT_KEY, report_of
from tests.integrity.sealed import KEY, hour, seal_of

WHOLE = report_of(
    3,
    hour(0),
    head=Head(sequence=7, digest="a" * 64),
    findings=noted([Discovery(Kind.RECORD_REMOVED, "gone", interval=hour(0), seal=1)])[0],
)


def test_a_report_is_read_as_it_was_made():
    assert reports.decode(WHOLE.encode()) == WHOLE
    assert REPORT_KEY.public.signed(WHOLE)
    assert not SigningKey.make().public.signed(WHOLE)


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_no_byte_of_a_report_can_be_changed(at, bits):
    content = bytearray(WHOLE.encode())
    content[at % len(content)] ^= bits
    read = reports.decode(bytes(content))
    assert read is None or read.key_id != WHOLE.key_id or not REPORT_KEY.public.signed(read)


def test_a_seal_is_no_report_and_a_report_no_seal():
    assert reports.decode(seal_of(1).encode()) is None
    assert seals.decode(WHOLE.encode()) is None
    assert WHOLE.prefix != seal_of(1).prefix


@pytest.mark.parametrize(
    "change", [{"since": "yesterday"}, {"since": ""}, {"made_at": "now"}, {"since": "2027-01-01T00:00:00Z"}]
)
def test_times_that_are_none_make_no_report(change):
    assert reports.decode(WHOLE.model_copy(update=change).encode()) is None


def test_findings_of_one_kind_and_interval_are_one_and_counted():
    gone = Discovery(Kind.RECORD_REMOVED, "first", "", hour(0), 1)
    late = Discovery(Kind.SEALED_LATE, "late", "", hour(2), 3)
    made, more = noted([late, gone, replace(gone, message="second"), replace(gone, interval=hour(1))])
    assert [(each.kind, each.count, each.interval, each.message) for each in made] == [
        ("record-removed", 2, hour(0), "first"),
        ("record-removed", 1, hour(1), "first"),
        ("sealed-late", 1, hour(2), "late"),
    ]
    assert (more, made[0].chain, made[2].chain) == (0, False, True)


def test_more_findings_than_a_report_names_are_counted_and_the_worst_are_named():
    late = [Discovery(Kind.SEALED_LATE, "late", "", hour(at)) for at in range(MOST_NOTED)]
    gone = [Discovery(Kind.RECORD_REMOVED, "gone", "", hour(at)) for at in range(MOST_NOTED)]
    made, more = noted(late + gone)
    assert {each.severity for each in made} == {Severity.ERROR}
    assert more == MOST_NOTED


def test_only_who_verifies_signs_reports():
    assert not KEY.public.signed(WHOLE)
