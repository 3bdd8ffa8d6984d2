from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.integrity.record import Identity, StoredRecord
from audit_operator.shipping.exporters import AUDIT_ID, NAMESPACE, STAGE

ANY_TEXT = st.text(alphabet=st.characters(), max_size=8)
RECORDS = st.builds(
    StoredRecord, st.integers(-(2**63), 2**65), ANY_TEXT, st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=4)
)
ONE = StoredRecord(5, "text", {"auditID": "a", "stage": "Panic", "namespace": "n"})


@given(RECORDS, RECORDS)
def test_records_have_one_leaf_if_and_only_if_they_are_the_same(one, other):
    assert (one.leaf() == other.leaf()) == (one == other)


@given(RECORDS)
def test_the_order_of_attributes_makes_no_difference(record):
    assert replace(record, attributes=dict(reversed(record.attributes.items()))).leaf() == record.leaf()


@pytest.mark.parametrize(
    "other",
    [
        replace(ONE, nanoseconds=6),
        replace(ONE, text="texts"),
        replace(ONE, attributes={**ONE.attributes, "empty": ""}),
        replace(ONE, attributes={"auditID": "aP", "stage": "anic", "namespace": "n"}),
        replace(ONE, attributes={"auditIDa": "", "stage": "Panic", "namespace": "n"}),
        replace(ONE, text="textauditIDa", attributes={"stage": "Panic", "namespace": "n"}),
    ],
)
def test_nothing_can_be_moved_from_one_part_to_the_next(other):
    assert other.leaf() != ONE.leaf()


def test_what_is_no_unicode_has_a_leaf_of_its_own():
    texts = ["\udcff", "\ufffd", "?", "\ud800"]
    assert len({StoredRecord(0, each).leaf() for each in texts}) == len(texts)


def test_a_record_is_named_by_the_attributes_that_shippers_write():
    record = StoredRecord(0, "", {AUDIT_ID: "a", STAGE: "Panic", NAMESPACE: "n"})
    assert record.identity == Identity("a", "Panic", "n")
