"""What is said of an erasure claims nothing that nobody has seen."""

from __future__ import annotations

from audit_operator.cli.erasure_text import erasure_text
from audit_operator.retention.erasure import ErasureRecord, Keys, Phase, Share


def said(*, in_earnest=True, **share):
    one = Share(sink="ClusterAuditSink central", namespace="shop", **share)
    record = ErasureRecord(
        id="1", phase=Phase.ENDED, time="", subject="s-1", control_plane="main", shares=(one,), keys=Keys.RENEWED,
        keys_of=("", "shop"),
    )  # fmt: skip
    return erasure_text(record, in_earnest=in_earnest)


def test_what_was_not_counted_afterwards_is_not_said_to_be_erased_nor_to_be_left():
    assert "3 records, nobody counted how many of 2 were erased" in said(found=3, erasable=2)
    assert "3 records, 2 would be erased" in said(in_earnest=False, found=3, erasable=2)
    assert "3 records, 1 erased" in said(found=3, erasable=2, left=1)
    assert "3 records, 0 erased" in said(found=3, erasable=0)


def test_records_of_others_and_whose_keys_are_changed_are_named():
    text = said(found=0, erasable=0, mentioned=4)
    assert "0 records, 0 erased; 4 of other users hold the name, and stay" in text
    assert "keys of pseudonyms ((no namespace), shop): the namespaces have new ones" in text
