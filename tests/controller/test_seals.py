"""Looking at the seals of a sink, round by round."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace

from audit_operator.api.findings import ObjectRef
from audit_operator.api.parsing import to_json
from audit_operator.api.sink_seals import SealState
from audit_operator.cluster.rest import ApiUnreachableError
from audit_operator.controller.seals import LookTimes, SealLooks
from audit_operator.integrity import seal as seals
from audit_operator.integrity.discovery import Discovery, Kind
from audit_operator.integrity.interval import Interval
from audit_operator.integrity.report import noted
from audit_operator.integrity.signed import Scope
from audit_operator.sinks.access import failure
from audit_operator.sinks.seal_archive import report_name, seal_name
from audit_operator.sinks.store import Failure, Reason, Unsupported
from tests.integrity.reported import REPORT_KEY, report_of
from tests.integrity.sealed import HOUR, KEY, START, hour, seal_of
from tests.plan.objects import parsed
from tests.sinks.stored import MemoryArchive

REF = ObjectRef("ClusterAuditSink", "central")
SCOPE = Scope(sink="ClusterAuditSink/central", cluster="prod")
VERIFIED = {"publicKeys": [REPORT_KEY.public.pem().decode()], "keptFor": "10d", "everythingWithin": "1d"}


def sink(**more):
    seals_ = {"sinkRef": {"name": "worm"}, "publicKeys": [KEY.public.pem().decode()], "cluster": "prod", **more}
    store = {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://logs"}}
    return parsed("ClusterAuditSink", "central", {**store, "seals": seals_})


def worm(bucket="seals"):
    return parsed("ClusterAuditSink", "worm", {"type": "S3", "s3": {"bucket": bucket}})


def chain(count):
    held, previous = {}, seals.NO_SEAL
    for number in range(1, count + 1):
        made = seal_of(number, interval=hour(number - 1), previous=previous, scope=SCOPE)
        held[seal_name(number)], previous = made.encode(), seals.digest(made.encode())
    return held


@dataclass
class World:
    """The API server with what the operator wrote last, the archive, and the clock."""

    archive: MemoryArchive
    document: dict = field(default_factory=dict)
    away: object = None
    reads: bool = True
    time: object = START + 7 * HOUR
    gets: int = 0
    looks: SealLooks = None

    async def get(self, resource, *, name, namespace=""):  # noqa: ARG002 - the protocol's
        self.gets += 1
        if not self.reads:
            raise ApiUnreachableError("gone")
        return json.loads(json.dumps(self.document))

    async def open(self, sink, known=None):  # noqa: ARG002 - the protocol's
        return self.away if isinstance(self.away, Failure) else SimpleNamespace(store=self.archive)

    def written(self):
        if REF in self.looks.observations:
            self.document = {"status": {"seals": to_json(self.looks.observations[REF].status)}}

    async def look(self, *sinks, hours=0):
        """Some rounds, so many hours later; what was begun before this is not counted."""
        self.time += hours * HOUR
        self.looks.follow(sinks or (sink(), worm()))
        end = self.gets + 3
        async with asyncio.timeout(60):
            while self.gets < end:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)
        return self.looks.observations.get(REF)


@asynccontextmanager
async def world(count=6):
    made = World(MemoryArchive(chain(count)))
    made.looks = SealLooks(
        made,
        made,
        made.written,
        LookTimes(every=0.01, patience=5.0),
        now=lambda: made.time,
        archives=lambda store, _: made.away if isinstance(made.away, Unsupported) else store,
    )
    try:
        yield made
    finally:
        await made.looks.aclose()


async def test_a_chain_without_gaps_is_sealed_and_its_last_seal_remembered():
    async with world() as one:
        seen = await one.look()
        assert (seen.state, seen.status.last.sequence, seen.status.last.until) == (
            SealState.SEALED,
            6,
            "2026-11-28T16:00:00Z",
        )
        assert "nobody is expected to verify" in seen.message
        assert (seen.figures.up, seen.figures.sealed) == (True, (START + 6 * HOUR).timestamp())


async def test_a_sealer_that_was_stopped_is_seen_by_the_clock_alone():
    async with world() as one:
        assert (await one.look(hours=2)).state is SealState.SEALED
        seen = await one.look(hours=1)
        assert (seen.state, [each.id for each in seen.status.findings]) == (SealState.SEAL_MISSING, ["seal-missing"])
        assert seen.status.findings[0].since == "2026-11-28T16:00:00Z"
        one.archive.objects |= chain(9)
        assert (await one.look()).state is SealState.SEALED


async def test_a_last_seal_made_anew_is_seen_also_by_another_operator_until_it_is_accepted():
    async with world() as one:
        was = (await one.look()).status.last.digest
        previous = seals.digest(one.archive.objects[seal_name(5)])
        anew = seal_of(6, interval=hour(5), previous=previous, scope=SCOPE, sealed_at="2026-11-28T17:30:00Z").encode()
        restored = one.archive.objects[seal_name(6)]
        one.archive.objects[seal_name(6)] = anew
        seen = await one.look()
        assert (seen.state, seen.status.last.digest) == (SealState.SEAL_REPLACED, was)
        one.looks.follow(())
        assert (await one.look()).state is SealState.SEAL_REPLACED
        accepted = await one.look(sink(accepted=[seals.digest(anew)]), worm())
        assert (accepted.state, accepted.status.last.digest) == (SealState.SEALED, seals.digest(anew))
        one.archive.objects[seal_name(6)] = restored
        assert (await one.look()).state is SealState.SEAL_REPLACED


async def test_another_archive_is_another_chain_and_none_forgets_nothing():
    async with world() as one:
        await one.look()
        seen = await one.look(sink())
        assert "there is no ClusterAuditSink worm" in seen.trouble
        assert seen.status.last.sequence == 6
        one.archive.objects.pop(seal_name(6))
        assert (await one.look()).state is SealState.SEAL_MISSING
        assert (await one.look(sink(), worm("others"))).state is SealState.SEALED


async def test_an_archive_that_is_away_changes_nothing_but_what_is_claimed():
    async with world() as one:
        last = (await one.look()).status.last
        one.away = failure(Reason.UNREACHABLE, "no connection")
        seen = await one.look(hours=30)
        assert (seen.status.last, seen.state, seen.figures.up) == (last, None, False)
        assert seen.trouble.startswith("no connection")
        one.away = failure(Reason.SECRET_UNREADABLE, "Secret x/y")
        assert "x/y" not in (await one.look()).trouble
        one.away = Unsupported("seals are kept elsewhere")
        assert (await one.look()).unsupported
        one.away = None
        assert (await one.look()).state is SealState.SEAL_MISSING


async def test_nothing_is_said_as_long_as_what_is_remembered_cannot_be_read():
    async with world() as one:
        one.reads = False
        assert await one.look() is None
        one.reads, one.document = True, ["no object"]
        assert await one.look() is None
        one.document = {}
        assert (await one.look()).state is SealState.SEALED


async def test_an_archive_that_takes_long_keeps_nothing_else_from_being_said():
    async with world() as one:
        before = (await one.look()).status
        await one.looks.aclose()
        one.looks.observations.clear()
        one.archive.inventory = asyncio.Event().wait
        one.looks.follow((sink(), worm()))
        async with asyncio.timeout(60):
            while REF not in one.looks.observations:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)
        seen = one.looks.observations[REF]
        assert (seen.state, seen.trouble, seen.status) == (None, "", before)


async def test_names_of_any_length_are_told():
    async with world() as one:
        seen = await one.look(sink(cluster="ü" * 256, namespace="ü" * 256), worm())
        assert (seen.state, len(seen.status.chain)) == (SealState.SEAL_INVALID, 1024)


async def test_what_verifications_found_stands_until_another_finds_it_no_more():
    async with world() as one:
        both = sink(verification=VERIFIED), worm()
        assert (await one.look(*both)).state is SealState.SEALED
        gone = noted([Discovery(Kind.RECORD_REMOVED, "the record is gone", "", hour(2), 3)])[0]
        whole = Interval(START, START + 6 * HOUR)
        for number, findings in ((1, gone), (2, ())):
            report = report_of(number, whole, one.time, scope=SCOPE, findings=findings, records=9)
            one.archive.objects[report_name(number)] = report.encode()
            seen = await one.look(*both)
            assert seen.status.verified.sequence == number
            assert seen.state is (SealState.VERIFY_FAILED if findings else SealState.SEALED)
            assert [each.id for each in seen.status.findings] == ["record-removed"][: len(findings)]
            assert seen.figures.findings == ({"record-removed": 1} if findings else {})


async def test_a_verifier_that_was_stopped_is_seen_by_the_clock_alone():
    async with world(40) as one:
        both = sink(verification=VERIFIED), worm()
        one.time = START + 41 * HOUR
        assert (await one.look(*both)).state is SealState.VERIFY_OVERDUE
        stranger = report_of(1, Interval(START, START + 40 * HOUR), one.time, scope=SCOPE, key=KEY)
        one.archive.objects[report_name(1)] = stranger.encode()
        seen = await one.look(*both)
        assert (seen.state, "report 1 of a verification does not count" in seen.message) == (
            SealState.VERIFY_OVERDUE,
            True,
        )
        report = report_of(2, Interval(START, START + 40 * HOUR), one.time, scope=SCOPE)
        one.archive.objects[report_name(2)] = report.encode()
        assert (await one.look(*both)).state is SealState.SEALED
        one.archive.objects |= chain(66)
        one.time = START + 41 * HOUR + timedelta(days=1)
        seen = await one.look(*both)
        assert (seen.state, seen.status.verified.sequence) == (SealState.VERIFY_OVERDUE, 2)


async def test_a_report_that_is_gone_or_another_now_is_told_until_it_is_accepted():
    async with world() as one:
        both = sink(verification=VERIFIED), worm()
        gone = noted([Discovery(Kind.RECORD_REMOVED, "the record is gone", "", hour(2), 3)])[0]
        whole = Interval(START, START + 6 * HOUR)
        bad = report_of(2, whole, one.time, scope=SCOPE, findings=gone)
        one.archive.objects |= {report_name(1): report_of(1, whole, one.time, scope=SCOPE).encode()}
        one.archive.objects |= {report_name(2): bad.encode()}
        assert (await one.look(*both)).state is SealState.VERIFY_FAILED
        for there in (None, report_of(2, hour(0), one.time, scope=SCOPE).encode()):
            one.archive.objects.pop(report_name(2), None)
            one.archive.objects |= {report_name(2): there} if there else {}
            one.looks.follow(())  # an operator that was started anew
            seen = await one.look(*both)
            assert (seen.state, seen.status.verified.digest) == (SealState.VERIFY_OVERDUE, seals.digest(bad.encode()))
            assert "report 2 of a verification" in seen.message
        accepted = sink(verification=VERIFIED, accepted=[seals.digest(there)])
        seen = await one.look(accepted, worm())
        assert (seen.state, seen.status.verified.digest) == (SealState.SEALED, seals.digest(there))


async def test_an_early_end_of_a_verification_is_said_and_does_not_count_as_one():
    async with world() as one:
        both = sink(verification=VERIFIED), worm()
        report = report_of(1, None, one.time, scope=SCOPE, failure="the store did not answer")
        one.archive.objects[report_name(1)] = report.encode()
        seen = await one.look(*both)
        assert (seen.state, seen.status.verified.failure) == (SealState.SEALED, "the store did not answer")
        assert "ended early" in seen.message
