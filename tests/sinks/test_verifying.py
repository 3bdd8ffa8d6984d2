"""What is found in a store whose records are not those that were sealed, and what is not made up."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from audit_operator.integrity import leaves
from audit_operator.integrity import seal as seals
from audit_operator.integrity.discovery import Kind
from audit_operator.integrity.interval import EPOCH, Interval, to_nanoseconds
from audit_operator.integrity.seal import Scope
from audit_operator.sinks.access import failure
from audit_operator.sinks.seal_archive import list_name, seal_name
from audit_operator.sinks.sealing import Sealer
from audit_operator.sinks.store import Failure, Reason
from audit_operator.sinks.verifying import Question, verify
from tests.integrity.sealed import HOUR, KEY, SCOPE, START, hour, record
from tests.sinks.stored import MemoryArchive, MemoryScanner

HOURS = 4
END = START + HOURS * HOUR
RECORDS = [record(number, number * 131, ("team", "web", "")[number % 3]) for number in range(HOURS * 3600 // 131)]
MINUTE_NS = 60 * 10**9


async def sealed(records=RECORDS, scope=SCOPE, **scanner):
    """A store and its seals, one for each hour, made an hour after that."""
    store, archive = MemoryScanner(list(records), **scanner), MemoryArchive()
    sealer = Sealer(scope, store, archive, KEY)
    for interval in await sealer.due(END, HOUR, START, new=True):
        made = await sealer.seal(interval, interval.until + HOUR)
        assert not isinstance(made, Failure)
    return store, archive, sealer


async def verified(store, archive, *, scope=SCOPE, **more):
    question = Question(scope, (KEY.public,), END + HOUR, 3 * HOUR, **more)
    return await verify(question, store, archive)


def kinds(verification):
    assert verification.failure is None
    return [each.kind for each in verification.discoveries]


@pytest.fixture(params=[True, False], ids=["interval by interval", "all at once"])
def by_time(request):
    return request.param


async def test_a_store_as_it_was_sealed_is_right(by_time):
    store, archive, _ = await sealed(by_time=by_time)
    result = await verified(store, archive)
    assert kinds(result) == []
    assert (result.seals, result.intervals, result.records) == (HOURS, HOURS, len(RECORDS))


async def test_neither_order_nor_copies_nor_what_others_have_written_is_a_finding(by_time):
    store, archive, _ = await sealed(by_time=by_time)
    store.records.reverse()
    store.records += store.records[::3]
    store.records.append(record(1, 5, cluster="other"))
    assert kinds(await verified(store, archive)) == []


async def test_an_empty_interval_is_sealed_too():
    store, archive, _ = await sealed([])
    assert kinds(await verified(store, archive)) == []
    store.records.append(RECORDS[5])
    [discovery] = (await verified(store, archive)).discoveries
    assert (discovery.kind, discovery.identity) == (Kind.RECORD_UNSEALED, RECORDS[5].identity)


async def test_a_removed_record_is_named_with_its_interval(by_time):
    store, archive, _ = await sealed(by_time=by_time)
    gone = store.records.pop(40)
    [discovery] = (await verified(store, archive)).discoveries
    assert (discovery.kind, discovery.identity, discovery.nanoseconds) == (
        Kind.RECORD_REMOVED,
        gone.identity,
        gone.nanoseconds,
    )
    assert (discovery.interval, discovery.seal) == (hour(1), 2)


async def test_two_records_that_changed_their_times_are_both_moved_also_across_intervals(by_time):
    store, archive, _ = await sealed(by_time=by_time)
    first, last = store.records[3], store.records[-3]
    store.records[3] = replace(first, nanoseconds=last.nanoseconds)
    store.records[-3] = replace(last, nanoseconds=first.nanoseconds)
    found = (await verified(store, archive)).discoveries
    assert [(each.kind, each.identity, each.interval) for each in found] == [
        (Kind.RECORD_MOVED, first.identity, hour(0)),
        (Kind.RECORD_MOVED, last.identity, hour(3)),
    ]


async def test_one_nanosecond_is_a_move():
    store, archive, _ = await sealed()
    store.records[9] = replace(store.records[9], nanoseconds=store.records[9].nanoseconds + 1)
    assert kinds(await verified(store, archive)) == [Kind.RECORD_MOVED]


async def test_a_record_under_another_name_is_changed():
    store, archive, _ = await sealed()
    was = store.records[9]
    store.records[9] = replace(was, attributes={**was.attributes, "auditID": "another"})
    [discovery] = (await verified(store, archive)).discoveries
    assert (discovery.kind, discovery.identity) == (Kind.RECORD_CHANGED, was.identity)


async def test_records_of_one_audit_id_are_told_apart():
    """Clients choose audit IDs, so that one may stand for many records."""
    many = [replace(record(1, at), text=f"{at}") for at in range(100, 110)]
    store, archive, _ = await sealed(many)
    store.records[3] = replace(many[3], nanoseconds=many[3].nanoseconds + MINUTE_NS)
    store.records[5] = replace(many[5], text="other")
    del store.records[8]
    found = {each.nanoseconds: each.kind for each in (await verified(store, archive)).discoveries}
    assert found == {
        many[3].nanoseconds: Kind.RECORD_MOVED,
        many[5].nanoseconds: Kind.RECORD_CHANGED,
        many[8].nanoseconds: Kind.RECORD_REMOVED,
    }


async def test_many_that_are_gone_are_counted_by_namespace_and_interval():
    store, archive, _ = await sealed()
    store.records = [each for each in store.records if not (hour(2).holds(each.nanoseconds))]
    store.records += [record(number, 30, "web") for number in range(1000, 1050)]
    found = (await verified(store, archive)).discoveries
    counted = Counter()
    for each in found:
        counted[each.kind] += each.records
    assert counted == {Kind.RECORD_REMOVED: 28, Kind.RECORD_UNSEALED: 50}
    assert len([each for each in found if each.kind is Kind.RECORD_UNSEALED]) == 21


async def test_late_records_are_sealed_in_addition_and_never_in_place(by_time):
    store, archive, sealer = await sealed(by_time=by_time)
    first = dict(archive.objects)
    late = record(777, 10)
    store.records.append(late)
    assert kinds(await verified(store, archive)) == [Kind.RECORD_UNSEALED]
    made = await sealer.supplement(hour(0), END)
    assert (made.records, made.seal.sequence, made.missing) == (1, HOURS + 1, 0)
    assert archive.objects.items() >= first.items()
    [discovery] = (await verified(store, archive)).discoveries
    assert (discovery.kind, discovery.kind.severity, discovery.interval) == (Kind.RECORDS_LATE, "Info", hour(0))
    assert (await sealer.supplement(hour(0), END)).seal is None
    store.records.remove(late)
    assert kinds(await verified(store, archive)) == [Kind.RECORDS_LATE, Kind.RECORD_REMOVED]


async def test_no_supplement_covers_up_what_was_changed():
    store, archive, sealer = await sealed()
    store.records[2] = replace(store.records[2], text="forged")
    made = await sealer.supplement(hour(0), END)
    assert (made.seal, made.missing) == (None, 1)
    assert kinds(await verified(store, archive)) == [Kind.RECORD_CHANGED]


async def test_without_its_list_a_seal_proves_still_and_names_the_minute():
    store, archive, _ = await sealed()
    first = seals.decode(archive.objects[seal_name(1)])
    del archive.objects[list_name(first.leaves.digest)]
    assert kinds(await verified(store, archive)) == [Kind.LIST_DAMAGED]
    store.records = store.records[1:-1]
    found = (await verified(store, archive)).discoveries
    assert [(each.kind, each.interval) for each in found] == [
        (Kind.LIST_DAMAGED, hour(0)),
        (Kind.BUCKET_DIFFERS, Interval(START, START + timedelta(minutes=1))),
        (Kind.RECORD_REMOVED, hour(3)),
    ]


async def test_a_list_that_was_changed_is_not_believed():
    store, archive, _ = await sealed()
    del store.records[0]
    for each in archive.objects:
        if each.endswith("gz"):
            archive.objects[each] = leaves.pack([]).content
    found = kinds(await verified(store, archive))
    assert Counter(found) == {Kind.LIST_DAMAGED: HOURS, Kind.BUCKET_DIFFERS: 1}


async def test_only_the_time_that_was_asked_for_is_compared():
    store, archive, _ = await sealed()
    del store.records[0], store.records[-1]
    result = await verified(store, archive, since=hour(0).until, until=hour(3).since)
    assert kinds(result) == []
    assert result.intervals == 2
    assert min(store.spans[-2:]).since == hour(1).since


async def test_where_a_seal_is_missing_its_records_are_not_called_inserted(by_time):
    store, archive, _ = await sealed(by_time=by_time)
    del archive.objects[seal_name(2)]
    assert kinds(await verified(store, archive)) == [Kind.SEAL_MISSING]


async def test_what_cannot_be_read_is_named_once_and_the_rest_verified(by_time):
    store, archive, _ = await sealed(by_time=by_time)
    store.unreadable = ("2026/11/28/10/x.json.gz",)
    del store.records[0]
    assert kinds(await verified(store, archive)) == [Kind.OBJECT_UNREADABLE, Kind.RECORD_REMOVED]


async def test_a_store_that_fails_is_no_finding_and_no_success():
    store, archive, sealer = await sealed()
    store.failure = failure(Reason.TIMED_OUT, "the store did not answer")
    result = await verified(store, archive)
    assert (result.failure, result.discoveries) == (store.failure, [])
    assert await sealer.seal(hour(HOURS), END) == store.failure
    assert len(await archive.numbers()) == HOURS


async def test_a_chain_is_not_continued_on_a_seal_of_somebody_else():
    _, archive, sealer = await sealed()
    archive.objects[seal_name(HOURS)] = archive.objects[seal_name(HOURS - 1)]
    refused = await sealer.seal(hour(HOURS), END)
    assert refused.reason is Reason.CHAIN_UNUSABLE
    assert (await sealer.due(END + HOUR, HOUR, None)).reason is Reason.CHAIN_UNUSABLE
    assert refused.mend


async def test_the_first_seal_is_of_the_last_hour_unless_told_otherwise():
    sealer = Sealer(SCOPE, MemoryScanner([]), MemoryArchive(), KEY)
    closed = START + timedelta(minutes=50)
    assert list(await sealer.due(closed, HOUR, None, new=True)) == [hour(-1)]
    assert list(await sealer.due(closed, HOUR, START - 3 * HOUR, new=True)) == [hour(-3), hour(-2), hour(-1)]


async def test_a_chain_begins_only_when_told_to_and_only_once():
    _, archive, sealer = await sealed()
    assert "there is a chain already" in (await sealer.due(END + HOUR, HOUR, None, new=True)).message
    archive.objects.clear()
    refused = await sealer.due(END + HOUR, HOUR, None)
    assert refused.reason is Reason.CHAIN_UNUSABLE
    assert "deleted the seals" in refused.message
    assert "--new-chain" in refused.message


async def test_where_the_time_that_was_asked_for_begins_before_the_first_seal_that_is_found():
    store, archive, _ = await sealed()
    result = await verified(store, archive, since=START - 2 * HOUR)
    assert kinds(result) == [Kind.SEAL_MISSING]
    assert result.discoveries[0].interval == Interval(START - 2 * HOUR, START)
    assert result.span == Interval(START, END)
    assert kinds(await verified(store, archive, since=START)) == []


async def test_what_was_compared_is_said_and_nothing_is_not_a_span():
    store, archive, _ = await sealed()
    assert (await verified(store, archive, since=START + HOUR, until=END - HOUR)).span == Interval(
        START + HOUR, END - HOUR
    )
    nothing = await verified(store, archive, since=END)
    assert (kinds(nothing), nothing.intervals, nothing.span) == ([], 0, None)


async def test_what_was_missed_is_sealed_without_a_gap():
    _, _, sealer = await sealed()
    assert list(await sealer.due(END + 2 * HOUR, HOUR, None)) == [hour(HOURS), hour(HOURS + 1)]


class Interrupted(MemoryArchive):
    """In which something happens before an object of this name is added."""

    name, happens = "", None

    async def add(self, name, content):
        if name == self.name:
            happens, self.happens = self.happens, None
            if happens is not None:
                await happens
        return await super().add(name, content)


@pytest.mark.parametrize("late", [False, True])
async def test_of_two_sealers_at_once_one_is_refused(late):
    store, archive, sealer = await sealed()
    store.records.append(record(777, 10))

    def make(by):
        return by.supplement(hour(0), END) if late else by.seal(hour(HOURS), END)

    between = Interrupted(archive.objects)
    between.name, between.happens = seal_name(HOURS + 1), make(sealer)
    refused = await make(replace(sealer, archive=between))
    assert "at the same time" in refused.message
    assert "at the same time" in (await sealer.seal(hour(0), END)).message
    assert kinds(await verified(store, archive)) == [Kind.RECORDS_LATE if late else Kind.RECORD_UNSEALED]


async def test_an_interval_is_not_sealed_twice_where_it_was_due_for_both():
    store, archive, sealer = await sealed()
    assert not isinstance(await sealer.seal(hour(HOURS), END), Failure)
    assert "at the same time" in (await sealer.seal(hour(HOURS), END)).message
    assert kinds(await verified(store, archive)) == []


async def test_the_records_of_one_namespace_have_a_chain_of_their_own():
    scope = Scope(sink=SCOPE.sink, namespace="team")
    store, archive, _ = await sealed(scope=scope)
    store.records = [each for each in store.records if each.attributes["namespace"] == "team"]
    assert kinds(await verified(store, archive, scope=scope)) == []
    assert set(kinds(await verified(store, archive))) == {Kind.SEAL_MISPLACED}


def test_times_of_records_are_exact():
    assert to_nanoseconds(EPOCH + timedelta(microseconds=1)) == 1000


async def test_what_lies_behind_an_interval_without_a_seal_is_compared_and_not_claimed(by_time):
    store, archive, _ = await sealed(by_time=by_time)
    del archive.objects[seal_name(2)]
    store.records.pop(-1)
    result = await verified(store, archive)
    assert Kind.RECORD_REMOVED in kinds(result)
    assert (result.intervals, result.span) == (HOURS - 1, hour(0))


async def test_a_flood_of_unsealed_records_hides_none_that_was_inserted_elsewhere(monkeypatch):
    monkeypatch.setattr("audit_operator.sinks.verifying.MOST_EXTRAS", 10)
    store, archive, _ = await sealed()
    store.records += [record(10_000 + number, 60 + number) for number in range(15)]
    store.records.append(record(77_777, 2 * 3600 + 30))
    found = (await verified(store, archive)).discoveries
    assert {each.kind for each in found} == {Kind.RECORD_UNSEALED}
    counted = Counter()
    for each in found:
        counted[each.interval] += each.records
    assert counted == {hour(0): 15, hour(2): 1}
