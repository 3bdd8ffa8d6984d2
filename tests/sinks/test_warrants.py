"""Warrants that lie beside the seals."""

from audit_operator.integrity.discovery import Kind
from audit_operator.integrity.keys import SigningKey
from audit_operator.integrity.warrant import of_leaves, warranted
from audit_operator.sinks.access import failure
from audit_operator.sinks.seal_archive import FolderArchive, report_name, seal_name, warrant_name
from audit_operator.sinks.store import Reason
from audit_operator.sinks.verifying import Question, verify
from audit_operator.sinks.warrants import keep_warrants, kept_warrants
from tests.integrity.sealed import HOUR, KEY, SCOPE
from tests.sinks.stored import MemoryArchive
from tests.sinks.test_verifying import END, sealed

ERASER = SigningKey.make()


def warrant(*records, erasure="20261128-1", key=ERASER):
    return key.sign(of_leaves(erasure, "2026-11-28T12:00:00Z", SCOPE.sink, [each.leaf() for each in records]))


async def kinds(store, archive):
    erased = warranted(await kept_warrants(archive), SCOPE.sink, [ERASER.public])
    result = await verify(Question(SCOPE, (KEY.public,), END + HOUR, 3 * HOUR, erased=erased), store, archive)
    return sorted(each.kind for each in result.discoveries)


async def test_what_was_kept_once_excuses_in_every_later_verification_and_nothing_else():
    store, archive, _ = await sealed()
    one, other = store.records.pop(40), store.records.pop(3)
    assert await kinds(store, archive) == [Kind.RECORD_REMOVED] * 2
    assert await keep_warrants(archive, [warrant(one)]) is None
    assert await kinds(store, archive) == [Kind.RECORD_REMOVED, Kind.RECORDS_ERASED]
    assert await keep_warrants(archive, [warrant(one), warrant(other, erasure="20261128-2")]) is None
    assert await kinds(store, archive) == [Kind.RECORDS_ERASED] * 2
    assert len(await archive.warrants()) == 2


async def test_strangers_and_what_is_no_warrant_excuse_nothing():
    store, archive, _ = await sealed()
    gone = store.records.pop(40)
    await keep_warrants(archive, [warrant(gone, key=SigningKey.make())])
    archive.objects[warrant_name("0" * 64)] = b"{}"
    assert await kinds(store, archive) == [Kind.RECORD_REMOVED]


async def test_an_archive_that_fails_is_not_one_without_warrants():
    away = failure(Reason.UNREACHABLE, "away")

    async def refusing(*_):
        return away

    archive = MemoryArchive()
    await keep_warrants(archive, [warrant()])
    archive.read = archive.add = refusing
    assert (await kept_warrants(archive), await keep_warrants(archive, [warrant()])) == (away, away)
    archive.warrants = refusing
    assert await kept_warrants(archive) == away


async def test_they_are_told_apart_from_what_lies_beside_them(tmp_path):
    archive = FolderArchive(tmp_path / "chain")
    assert await archive.warrants() == ()
    for name in (seal_name(1), report_name(1), "warrant-1.json"):
        await archive.add(name, b"")
    await keep_warrants(archive, [warrant()])
    assert (await archive.numbers(), await archive.reports(), len(await archive.warrants())) == ((1,), (1,), 1)
    assert await kept_warrants(archive) == [warrant()]
