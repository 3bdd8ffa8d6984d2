"""What is read of an archive, and what is not read twice."""

from audit_operator.integrity import seal as seals
from audit_operator.integrity.keys import SigningKey
from audit_operator.integrity.seal import Scope, SealKind
from audit_operator.sinks.access import failure
from audit_operator.sinks.seal_archive import FolderArchive, report_name, seal_name
from audit_operator.sinks.seal_watching import Reports, begin_of, look
from audit_operator.sinks.store import Reason
from tests.integrity.reported import REPORT_KEY, report_of
from tests.integrity.sealed import HOUR, KEY, SCOPE, START, chain_of, hour, seal_of
from tests.sinks.stored import MemoryArchive

AWAY = failure(Reason.UNREACHABLE, "away")


class Counting(MemoryArchive):
    """Remembers what was read of it; fails where it is told to."""

    def __init__(self, objects):
        super().__init__({name: bytes(each) for name, each in objects.items()})
        self.read_, self.away = [], ""

    async def read(self, name):
        self.read_.append(name)
        return AWAY if name == self.away else await super().read(name)


def chain(count=6):
    return {seal_name(number): each for number, each in chain_of(count).items()}


async def test_only_seals_from_the_remembered_one_on_are_read():
    archive = Counting(chain())
    sight = await look(archive, 4)
    assert (sight.numbers, sorted(sight.held)) == ((1, 2, 3, 4, 5, 6), [4, 5, 6])
    assert len(archive.read_) == 3


async def test_a_first_look_reads_down_to_a_seal_of_an_interval():
    held = chain_of(2)
    for number in (3, 4):
        held[number] = seal_of(number, kind=SealKind.SUPPLEMENT, previous=seals.digest(held[number - 1])).encode()
    archive = Counting({seal_name(number): each for number, each in held.items()})
    assert sorted((await look(archive, None)).held) == [2, 3, 4]
    assert sorted((await look(archive, 4)).held) == [2, 3, 4]


async def test_a_remembered_seal_that_is_gone_leaves_those_before_it_to_be_read():
    archive = Counting(chain(4))
    assert sorted((await look(archive, 6)).held) == [4]
    assert (await look(Counting({}), 6)).held == {}


async def test_an_archive_that_fails_is_no_empty_one():
    archive = Counting(chain())
    archive.away = seal_name(5)
    assert await look(archive, 4) == AWAY
    archive.away = seal_name(1)
    assert await begin_of(archive, (1, 2), SCOPE, [KEY.public]) == AWAY


async def test_the_begin_of_a_chain_is_said_by_a_signed_seal_alone():
    archive = Counting(chain())
    assert await begin_of(archive, (1, 2), SCOPE, [KEY.public]) == START
    assert await begin_of(archive, (1, 2), SCOPE, [SigningKey.make().public]) is None
    assert await begin_of(archive, (1, 2), Scope(sink="ClusterAuditSink/other"), [KEY.public]) is None
    assert await begin_of(archive, (), SCOPE, [KEY.public]) is None


async def test_each_report_is_read_once_and_only_those_of_trusted_keys_count():
    good = [report_of(number, hour(number), START + number * HOUR) for number in (1, 2)]
    archive = Counting({report_name(each.sequence): each.encode() for each in good})
    archive.objects[report_name(3)] = report_of(3, key=SigningKey.make()).encode()
    archive.objects[report_name(4)] = good[1].encode()  # an old one under a new number
    archive.objects[report_name(5)] = b"{}"
    reports = Reports(SCOPE, (REPORT_KEY.public,))
    assert await reports.read(archive) is None
    assert (reports.newest_first(), reports.unusable) == (good[::-1], {3, 4, 5})
    assert await reports.read(archive) is None
    assert len(archive.read_) == 5
    archive.objects[report_name(6)], archive.away = b"", report_name(6)
    assert await reports.read(archive) == AWAY
    assert reports.newest_first() == good[::-1]


async def test_reports_lie_beside_seals_and_are_told_apart(tmp_path):
    archive = FolderArchive(tmp_path / "chain")
    assert await archive.reports() == ()
    await archive.add(seal_name(1), b"")
    await archive.add(report_name(7), b"")
    assert (await archive.numbers(), await archive.reports()) == ((1,), (7,))
