"""A thousand manipulations of records and seals: each is found where it is, and nothing else is."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from audit_operator.integrity import leaves
from audit_operator.integrity import seal as seals
from audit_operator.integrity.discovery import Kind
from audit_operator.integrity.keys import SigningKey
from audit_operator.sinks.seal_archive import list_name, seal_name
from audit_operator.sinks.verifying import Question, verify
from tests.examples import examples
from tests.integrity.sealed import HOUR, KEY, SCOPE, hour, record
from tests.sinks.stored import MemoryArchive, MemoryScanner
from tests.sinks.test_verifying import END, HOURS, RECORDS, sealed

TRIALS, SEVERAL = examples(1000), examples(150)
OTHER_KEY = SigningKey.make()


def place(each):
    """The interval that a record is in."""
    return next(hour(number) for number in range(HOURS) if hour(number).holds(each.nanoseconds))


class World:
    """A copy of a sealed store, what was done to it, and what must be found."""

    def __init__(self, base, random_):
        store, archive = base
        self.random = random_
        self.store = MemoryScanner(list(store.records), by_time=random_.random() < 0.5)
        self.archive = MemoryArchive(dict(archive.objects))
        self.untouched = list(store.records)
        self.expected = Counter()

    def take(self):
        """A record that nothing has been done to."""
        chosen = self.random.choice(self.untouched)
        self.untouched.remove(chosen)
        return chosen

    def put(self, was, now):
        self.store.records[self.store.records.index(was)] = now

    def expect(self, kind, was):
        self.expected[kind, place(was), was.identity, was.nanoseconds] += 1

    def a_time(self):
        """Some moment that is sealed, and at which there is no record."""
        return RECORDS[0].nanoseconds + self.random.randrange(HOURS * 3600 * 10**9 // 2) * 2 + 1

    def a_seal(self):
        number = self.random.randrange(1, HOURS + 1)
        return number, seals.decode(self.archive.objects[seal_name(number)])


def remove(world):
    was = world.take()
    world.store.records.remove(was)
    world.expect(Kind.RECORD_REMOVED, was)


def change_text(world):
    was = world.take()
    at = world.random.randrange(len(was.text))
    text = was.text[:at] + chr(ord(was.text[at]) ^ 1) + was.text[at + 1 :]
    world.put(was, replace(was, text=world.random.choice([text, was.text + " ", was.text[:-1], ""])))
    world.expect(Kind.RECORD_CHANGED, was)


def change_attribute(world):
    was = world.take()
    name = world.random.choice(["auditID", "stage", "namespace", "verb"])
    world.put(was, replace(was, attributes={**was.attributes, name: "another"}))
    world.expect(Kind.RECORD_CHANGED, was)


def drop_attribute(world):
    was = world.take()
    world.put(was, replace(was, attributes={key: value for key, value in was.attributes.items() if key != "stage"}))
    world.expect(Kind.RECORD_CHANGED, was)


def change_time(world):
    was = world.take()
    world.put(was, replace(was, nanoseconds=world.a_time()))
    world.expect(Kind.RECORD_MOVED, was)


def change_time_and_text(world):
    was = world.take()
    world.put(was, replace(was, nanoseconds=world.a_time(), text="forged"))
    world.expect(Kind.RECORD_CHANGED, was)


def move_out_of_what_is_sealed(world):
    was = world.take()
    world.put(was, replace(was, nanoseconds=was.nanoseconds + HOURS * 3600 * 10**9))
    world.expect(Kind.RECORD_REMOVED, was)


def swap_times(world):
    one, other = world.take(), world.take()
    world.put(one, replace(one, nanoseconds=other.nanoseconds))
    world.put(other, replace(other, nanoseconds=one.nanoseconds))
    world.expect(Kind.RECORD_MOVED, one)
    world.expect(Kind.RECORD_MOVED, other)


def swap_texts(world):
    one, other = world.take(), world.take()
    world.put(one, replace(one, text=other.text))
    world.put(other, replace(other, text=one.text))
    world.expect(Kind.RECORD_CHANGED, one)
    world.expect(Kind.RECORD_CHANGED, other)


def insert(world):
    new = replace(record(5000 + len(world.store.records), 0, "team"), nanoseconds=world.a_time())
    world.store.records.append(new)
    world.expect(Kind.RECORD_UNSEALED, new)


def insert_under_a_name_that_there_is(world):
    was = world.take()
    new = replace(was, nanoseconds=world.a_time())
    world.store.records.append(new)
    world.expect(Kind.RECORD_UNSEALED, new)


def duplicate(world):
    world.store.records.insert(world.random.randrange(len(world.store.records)), world.take())


def reverse(world):
    world.store.records.reverse()


def drop_seal(world):
    number, _ = world.a_seal()
    del world.archive.objects[seal_name(number)]
    world.expected[Kind.SEAL_MISSING, number] += 1


def edit_seal(world):
    number, seal = world.a_seal()
    edits = [{"sealed_at": "2026-11-28T12:34:56Z"}, {"since": "2026-11-28T00:00:00Z"}, {"previous": "f" * 64}]
    changed = seal.model_copy(update=world.random.choice(edits)).encode()
    content = world.random.choice([changed, changed[:-1], b"", changed + b"\n"])
    world.archive.objects[seal_name(number)] = content
    world.expected[Kind.SEAL_CHANGED, number] += 1


def resign_seal(world):
    number, seal = world.a_seal()
    world.archive.objects[seal_name(number)] = OTHER_KEY.sign(seal).encode()
    world.expected[Kind.SEAL_KEY_UNKNOWN, number] += 1


def swap_seals(world):
    one, other = world.random.sample(range(1, HOURS + 1), 2)
    objects = world.archive.objects
    objects[seal_name(one)], objects[seal_name(other)] = objects[seal_name(other)], objects[seal_name(one)]
    world.expected[Kind.SEAL_MISPLACED, one] += 1
    world.expected[Kind.SEAL_MISPLACED, other] += 1


def drop_list(world):
    number, seal = world.a_seal()
    del world.archive.objects[list_name(seal.leaves.digest)]
    world.expected[Kind.LIST_DAMAGED, number] += 1


def edit_list(world):
    number, seal = world.a_seal()
    name = list_name(seal.leaves.digest)
    entries = list(leaves.unpack(world.archive.objects[name]))
    world.archive.objects[name] = leaves.pack(map(leaves.line, entries[1:])).content
    world.expected[Kind.LIST_DAMAGED, number] += 1


OF_RECORDS = (
    remove,
    change_text,
    change_attribute,
    drop_attribute,
    change_time,
    change_time_and_text,
    move_out_of_what_is_sealed,
    swap_times,
    swap_texts,
    insert,
    insert_under_a_name_that_there_is,
    duplicate,
    reverse,
)
OF_SEALS = (drop_seal, edit_seal, resign_seal, swap_seals, drop_list, edit_list)


async def found_in(world):
    question = Question(SCOPE, (KEY.public,), END + HOUR, HOUR)
    result = await verify(question, world.store, world.archive)
    assert result.failure is None
    return Counter(
        (each.kind, each.interval, each.identity, each.nanoseconds) if each.identity else (each.kind, each.seal)
        for each in result.discoveries
    )


@pytest.fixture
async def base():
    store, archive, _ = await sealed(RECORDS)
    return store, archive


async def test_each_of_a_thousand_manipulations_is_found_where_it_is_and_nothing_is_made_up(base):
    every = OF_RECORDS + OF_SEALS
    for seed in range(TRIALS):
        manipulate = every[seed % len(every)]
        world = World(base, random.Random(seed))
        manipulate(world)
        assert await found_in(world) == world.expected, (manipulate.__name__, seed)


async def test_several_at_once_are_all_found(base):
    for seed in range(SEVERAL):
        world = World(base, random.Random(seed))
        chosen = world.random.choices(OF_RECORDS, k=world.random.randrange(2, 12))
        for manipulate in chosen:
            manipulate(world)
        assert await found_in(world) == world.expected, ([each.__name__ for each in chosen], seed)


def test_the_records_of_the_trials_are_spread_over_what_is_sealed():
    assert {place(each) for each in RECORDS} == {hour(number) for number in range(HOURS)}
