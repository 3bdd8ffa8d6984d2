"""A record of an erasure says whose it was to whoever has the key, and to nobody else."""

from __future__ import annotations

import pytest

from audit_operator.retention.erasure import ErasureRecord, Keys, Phase, Share, subject_name


def record(**changes):
    fields = {
        "id": "1",
        "phase": Phase.BEGUN,
        "time": "2026-11-28T00:00:00Z",
        "subject": "s-1",
        "control_plane": "main",
    }
    return ErasureRecord(**{**fields, **changes})


def test_a_subject_has_one_name_under_a_key_and_another_under_another():
    name = subject_name(b"k" * 32, "dora@example.com")
    assert name == subject_name(b"k" * 32, "dora@example.com")
    assert "dora" not in name
    assert len({name, subject_name(b"l" * 32, "dora@example.com"), subject_name(b"k" * 32, "eve")}) == 3


def test_a_record_is_read_as_it_was_written():
    share = Share(sink="ClusterAuditSink central", namespace="shop", found=3, erasable=2, obstacles=("legal hold",))
    said = record(phase=Phase.ENDED, shares=(share,), untouched={"ClusterAuditSink s3": "x"}, keys=Keys.RENEWED)
    assert ErasureRecord.model_validate_json(said.text()) == said
    assert '"controlPlane":"main"' in said.text()


@pytest.mark.parametrize(
    ("found", "erasable", "left", "done"), [(3, 3, 0, True), (3, 2, 0, False), (3, 3, 1, False), (3, 3, None, False)]
)
def test_a_share_is_done_where_nothing_that_was_found_is_left(found, erasable, left, done):
    assert Share(sink="s", namespace="n", found=found, erasable=erasable, left=left).is_done is done
