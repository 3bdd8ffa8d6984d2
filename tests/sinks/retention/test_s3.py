"""What a listing of a folder says of when something was uploaded there, whatever clocks shippers had."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from audit_operator.sinks.retention import s3
from audit_operator.sinks.s3 import S3Store

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FOLDER = "sink=central/cluster=main/class=max30d/"


class Listing:
    """A bucket that can be listed alone: no real one lets anybody choose when an object was uploaded."""

    def __init__(self, objects):
        self.objects = {f"{FOLDER}{hour}/logs_{number}.json.gz": at for number, (hour, at) in enumerate(objects)}

    def list_objects(self, bucket, *, prefix, recursive, start_after):  # noqa: ARG002 - the library's
        for key in sorted(self.objects):
            if key.startswith(prefix) and key > start_after:
                yield SimpleNamespace(object_name=key, last_modified=self.objects[key], is_dir=False)


def inside(*objects):
    store = S3Store(SimpleNamespace(bucket="b", prefix=""), Listing(objects))
    return s3._inside(store, FOLDER, NOW, None)


OLD = datetime(2026, 1, 5, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wrong", "since"),
    [("1970/01/01/00", datetime(1970, 1, 1, tzinfo=UTC)), ("2099/01/01/00", OLD.replace(minute=0))],
)
def test_an_object_of_a_wrong_hour_hides_none_that_is_older(wrong, since):
    found = inside(("2026/01/05/00", OLD), (wrong, NOW))
    assert found.since == since
    assert found.uploaded == (OLD, NOW)


def test_one_that_was_uploaded_long_ago_under_an_hour_to_come_is_seen(monkeypatch):
    monkeypatch.setattr(s3, "_MOST_LISTED", 2)
    young = [("2026/02/28/00", NOW - timedelta(hours=each)) for each in range(3)]
    assert inside(*young, ("2026/04/01/00", OLD)).since == OLD


def test_an_hour_that_there_is_not_says_nothing():
    assert inside(("2026/13/45/99", OLD)).since == OLD
    assert inside().since is None
