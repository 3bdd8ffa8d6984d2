"""What somebody who remembers the last seal sees."""

import pytest

from audit_operator.integrity import seal as seals
from audit_operator.integrity.chain import Times
from audit_operator.integrity.discovery import Kind
from audit_operator.integrity.keys import SigningKey
from audit_operator.integrity.seal import SealKind
from audit_operator.integrity.watch import MOST_GAPS, LastSeal, Sight, Watch
from tests.integrity.sealed import HOUR, KEY, SCOPE, START, chain_of, hour, seal_of

HELD = chain_of(6)
END = START + 6 * HOUR


def last(number, held=HELD):
    seal = seals.decode(held[number])
    return LastSeal(number, seals.digest(held[number]), START + (number + 1) * HOUR, seal.interval.until)


def judge(known, held=HELD, since=None, closed=END, **more):
    first = since or (known.sequence if known else max(held, default=1))
    read = {number: each for number, each in held.items() if number >= first}
    sight = Sight(tuple(sorted(held)), more.get("meddled", ()), read)
    watch = Watch(SCOPE, more.get("keys", (KEY.public,)), more.get("accepted", ()))
    return watch.judge(known, sight, Times(closed, 3 * HOUR))


def kinds(watched):
    return [each.kind for each in watched.discoveries]


@pytest.mark.parametrize("known", [None, last(1), last(4), last(6)])
def test_a_chain_that_only_grew_is_remembered_by_its_last_seal(known):
    watched = judge(known)
    assert (watched.last, watched.discoveries) == (last(6), ())


def test_an_interval_without_a_seal_is_found_by_the_clock_alone():
    watched = judge(last(6), closed=END + HOUR)
    assert kinds(watched) == [Kind.SEAL_MISSING]
    assert (watched.discoveries[0].interval, watched.last) == (hour(6), last(6))
    assert kinds(judge(None, {})) == [Kind.SEAL_MISSING]


def test_seals_that_were_deleted_and_made_anew_are_found_and_what_was_stays_remembered():
    anew = {number: HELD[number] for number in range(1, 5)}
    for number in (5, 6):
        previous = seals.digest(anew[number - 1])
        anew[number] = seal_of(
            number, interval=hour(number - 1), previous=previous, sealed_at="2026-11-28T18:00:00Z"
        ).encode()
    watched = judge(last(6), anew)
    assert kinds(watched) == [Kind.SEAL_REPLACED]
    assert watched.last == last(6)
    assert kinds(judge(last(6), anew)) == [Kind.SEAL_REPLACED]
    assert kinds(judge(last(4), anew)) == []
    there = seals.digest(anew[6])
    assert there in watched.discoveries[0].message
    accepted = judge(last(6), anew, accepted=(there,))
    assert (kinds(accepted), accepted.last.digest) == ([], there)


def test_a_last_seal_that_is_gone_is_found_before_the_clock_would():
    watched = judge(last(6), {number: HELD[number] for number in range(1, 6)}, since=5, closed=END - HOUR)
    assert kinds(watched) == [Kind.SEAL_MISSING]
    assert (watched.discoveries[0].seal, watched.last) == (6, last(6))


def test_a_gap_among_old_seals_is_found_by_their_numbers():
    held = {number: each for number, each in HELD.items() if number not in {2, 3}}
    watched = judge(last(5), held)
    assert [(each.kind, each.seal, each.message) for each in watched.discoveries] == [
        (Kind.SEAL_MISSING, 2, "seals 2 to 3 are missing")
    ]
    assert watched.last == last(6)


def test_many_gaps_are_counted():
    sight = Sight(tuple(range(2, 200, 2)), (), {198: HELD[1]})
    found = Watch(SCOPE, (KEY.public,)).judge(None, sight, Times(START, HOUR)).discoveries
    assert [each.kind for each in found].count(Kind.SEAL_MISSING) == MOST_GAPS + 1
    assert found[-1].message.endswith("and 82 more like that")


def test_seals_that_no_trusted_key_has_signed_are_found_and_not_remembered():
    stranger = SigningKey.make()
    held = {**HELD, 6: seal_of(6, interval=hour(5), previous=seals.digest(HELD[5]), key=stranger).encode()}
    watched = judge(last(5), held)
    assert (kinds(watched), watched.last) == ([Kind.SEAL_KEY_UNKNOWN], last(5))
    assert judge(last(6), HELD, keys=(stranger.public,)).last == last(6)


def test_an_object_with_an_absurd_number_is_two_findings_and_no_end():
    watched = judge(last(6), {**HELD, 10**12 - 1: b"x"})
    assert kinds(watched) == [Kind.SEAL_MISSING, Kind.SEAL_CHANGED]
    assert watched.last == last(6)


def test_a_supplement_is_remembered_with_the_time_up_to_which_everything_is_sealed():
    held = {**HELD, 7: seal_of(7, interval=hour(2), kind=SealKind.SUPPLEMENT, previous=seals.digest(HELD[6])).encode()}
    watched = judge(last(6), held)
    assert (watched.last.sequence, watched.last.until) == (7, END)
    assert judge(watched.last, held, since=6).last == watched.last


def test_what_the_archive_remembers_of_deletions_is_said():
    assert kinds(judge(last(6), meddled=(2, 6))) == [Kind.SEAL_MEDDLED, Kind.SEAL_MEDDLED]
