"""A store's records, as `replay` counts them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from audit_operator.api.audit import Level
from audit_operator.cli.replay_sinks import count_records
from audit_operator.integrity.interval import Interval, to_nanoseconds
from audit_operator.integrity.record import StoredRecord
from audit_operator.policy.model import Policy, Rule
from audit_operator.replay.vocabulary import vocabulary_of
from audit_operator.sinks.access import failure
from audit_operator.sinks.scanning import Batch, Stream
from audit_operator.sinks.store import Reason
from tests.replay.logs import event, line

NOW = datetime(2026, 11, 28, 7, tzinfo=UTC)
SPAN = Interval(NOW, NOW + timedelta(hours=3))
VOCABULARY = vocabulary_of([Policy((Rule(Level.METADATA),))])


def record(minutes, **more):
    text = line(event(**more)).decode()
    time = to_nanoseconds(NOW + timedelta(minutes=minutes))
    return StoredRecord(time, text, {"verb": "get", "namespace": "web", "auditID": str(minutes)})


class Scanned:
    """Gives all that it has to whoever asks, twice, and fails where it is told to."""

    def __init__(self, *records, by_time=True, fails_at=None):
        self.records, self.by_time, self.fails_at = records, by_time, fails_at
        self.spans, self.settled = [], False

    async def scan(self, span, stream):
        assert stream == Stream()
        self.spans.append(span)
        if self.fails_at == len(self.spans):
            yield failure(Reason.TIMED_OUT, "it took too long")
            return
        yield Batch(self.records, ("an object",) if self.fails_at == 0 else (), settled=self.settled)
        yield Batch(self.records)


def counted(scanner):
    return asyncio.run(count_records(scanner, SPAN, [Stream()], VOCABULARY, lambda _: None))


@pytest.mark.parametrize("by_time", [True, False])
def test_each_record_of_the_time_is_counted_once_however_often_it_comes(by_time):
    scanner = Scanned(*(record(minutes) for minutes in (-1, 0, 30, 60, 179, 180)), by_time=by_time)
    counts = counted(scanner)
    assert (counts.cells.events, counts.broken) == (4, [])
    assert len(scanner.spans) == (3 if by_time else 1)


def test_what_could_not_be_read_is_said_and_the_rest_is_counted():
    counts = counted(Scanned(record(1), record(100), fails_at=1))
    assert counts.cells.events == 1
    assert len(counts.broken) == 1
    assert "it took too long" in counts.broken[0]
    assert "an object: cannot be read" in counted(Scanned(fails_at=0)).broken


def test_records_of_applications_and_pseudonyms_are_counted_apart():
    of_application = StoredRecord(to_nanoseconds(NOW), "plain text", {"pod": "web-1"})
    hidden = record(1, user=f"p-01234567-{'a' * 32}")
    counts = counted(Scanned(of_application, hidden, record(2)))
    assert (counts.others, counts.pseudonyms, counts.cells.events, counts.cells.unreadable) == (1, 1, 2, 0)


def test_what_has_no_copies_any_more_is_forgotten():
    """Seen by what must not happen: a copy that comes all the same is counted."""
    scanner = Scanned(record(1), by_time=False)
    assert counted(scanner).cells.events == 1
    scanner.settled = True
    assert counted(scanner).cells.events == 2
