from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.integrity import chain
from audit_operator.integrity import seal as seals
from audit_operator.integrity.discovery import Kind
from audit_operator.integrity.interval import Interval, moment
from audit_operator.integrity.keys import SigningKey
from audit_operator.integrity.seal import Scope, SealKind
from tests.integrity.sealed import HOUR, KEY, SCOPE, START, chain_of, hour, seal_of

HELD = chain_of(6)
CLOSED = START + 6 * HOUR


def check(held, closed=CLOSED, keys=(KEY.public,), allowance=3 * HOUR):
    return chain.check(held, SCOPE, keys, chain.Times(closed, allowance))


def found(held, **more):
    return [(each.kind, each.seal, each.interval) for each in check(held, **more).discoveries]


def resigned(number, key=KEY, **change):
    seal = seals.decode(HELD[number])
    return {**HELD, number: key.sign(seal.model_copy(update=change)).encode()}


def test_a_chain_as_it_was_made_is_right():
    checked = check(HELD)
    assert checked.discoveries == ()
    assert [each.sequence for each in checked.seals] == [1, 2, 3, 4, 5, 6]


def test_without_any_seal_that_is_said():
    assert found({}) == [(Kind.SEAL_MISSING, 0, None)]
    [nothing] = check({}).discoveries
    assert "--new-chain" in nothing.mend


def test_seals_that_are_of_no_use_are_not_called_missing():
    late = seal_of(1, interval=hour(0), kind=SealKind.SUPPLEMENT, key=SigningKey.make())
    assert found({1: late.encode()}) == [(Kind.SEAL_KEY_UNKNOWN, 1, hour(0))]


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6])
def test_a_missing_seal_is_one_finding_at_its_interval(number):
    [(kind, seal, where)] = found({key: value for key, value in HELD.items() if key != number})
    assert (kind, seal) == (Kind.SEAL_MISSING, number)
    assert where in (hour(number - 1), None)
    assert where is not None or number == 1


def test_several_missing_seals_in_a_row_are_one_finding():
    held = {key: value for key, value in HELD.items() if key not in {3, 4}}
    assert found(held) == [(Kind.SEAL_MISSING, 3, Interval(START + 2 * HOUR, START + 4 * HOUR))]


def test_missing_seals_at_the_end_are_found_by_the_clock():
    held = {key: value for key, value in HELD.items() if key <= 4}
    assert found(held) == [(Kind.SEAL_MISSING, 5, Interval(START + 4 * HOUR, CLOSED))]
    assert found(held, closed=START + 4 * HOUR + timedelta(minutes=59)) == []


@given(st.sampled_from(sorted(HELD)), st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_seal_is_one_finding_and_is_not_used(number, at, bits):
    content = bytearray(HELD[number])
    content[at % len(content)] ^= bits
    checked = check({**HELD, number: bytes(content)})
    [discovery] = checked.discoveries
    assert discovery.kind in {Kind.SEAL_CHANGED, Kind.SEAL_KEY_UNKNOWN, Kind.SEAL_MISPLACED}
    assert discovery.seal == number
    assert number not in {each.sequence for each in checked.seals}


@pytest.mark.parametrize("number", [1, 3, 6])
def test_a_seal_signed_with_another_key_is_found(number):
    assert found(resigned(number, SigningKey.make())) == [(Kind.SEAL_KEY_UNKNOWN, number, hour(number - 1))]


def test_a_chain_signed_with_another_key_is_found_whole():
    kinds = found(chain_of(6, SigningKey.make()))
    assert kinds == [(Kind.SEAL_KEY_UNKNOWN, number, hour(number - 1)) for number in range(1, 7)]


def test_a_renewed_key_is_no_finding_where_both_are_trusted():
    new = SigningKey.make()
    held = {**HELD}
    held[7] = seal_of(7, interval=hour(6), previous=seals.digest(HELD[6]), key=new).encode()
    assert found(held, keys=(KEY.public, new.public)) == []
    assert found(held, keys=(KEY.public,)) == [(Kind.SEAL_KEY_UNKNOWN, 7, hour(6))]


def test_a_seal_made_anew_with_the_right_key_breaks_the_chain():
    assert found(resigned(3, sealed_at="2026-11-28T13:00:01Z")) == [(Kind.CHAIN_BROKEN, 4, hour(3))]


def test_two_seals_that_changed_places_are_found():
    swapped = {**HELD, 2: HELD[5], 5: HELD[2]}
    assert [each[:2] for each in found(swapped)] == [(Kind.SEAL_MISPLACED, 2), (Kind.SEAL_MISPLACED, 5)]


def test_a_seal_of_another_chain_is_found():
    other = resigned(2, scope=Scope(sink="ClusterAuditSink/central", cluster="test"))
    assert [each[:2] for each in found(other)] == [(Kind.SEAL_MISPLACED, 2)]


def test_an_interval_that_was_left_out_is_found_even_if_the_numbers_have_no_gap():
    held, previous = {}, seals.NO_SEAL
    for number, at in enumerate((0, 1, 3), 1):
        held[number] = seal_of(number, interval=hour(at), previous=previous).encode()
        previous = seals.digest(held[number])
    assert found(held, closed=START + 4 * HOUR) == [(Kind.SEAL_MISSING, 3, hour(2))]


def test_a_supplement_belongs_to_the_chain_and_covers_no_time():
    held = {**HELD}
    late = seal_of(7, interval=hour(2), kind=SealKind.SUPPLEMENT, previous=seals.digest(held[6]))
    held[7] = late.encode()
    assert found(held) == []
    held[8] = seal_of(8, interval=hour(6), previous=seals.digest(held[7])).encode()
    assert found(held, closed=CLOSED + HOUR) == []
    del held[7]
    assert [each[:2] for each in found(held, closed=CLOSED + HOUR)] == [(Kind.SEAL_MISSING, 7)]


def late_chain(*sealed_at):
    held, previous = {}, seals.NO_SEAL
    for number, at in enumerate(sealed_at, 1):
        made = moment(START + at * HOUR)
        held[number] = seal_of(number, interval=hour(number - 1), previous=previous, sealed_at=made).encode()
        previous = seals.digest(held[number])
    return held


def test_seals_that_were_deleted_at_the_end_and_made_anew_are_an_error():
    """The chain has no gap then, and all that is left to see is when they were made."""
    made_anew = late_chain(2, 3, 11, 11, 11, 11)
    late, error = Kind.SEALED_LATE, Kind.SEALED_TOO_LATE
    both = [(error, 3, Interval(START + 2 * HOUR, START + 4 * HOUR)), (late, 5, Interval(START + 4 * HOUR, CLOSED))]
    assert found(made_anew) == both
    assert error.severity == "Error"
    asked = chain.check(made_anew, SCOPE, (KEY.public,), chain.Times(CLOSED, 3 * HOUR, START + 3 * HOUR))
    assert [each.kind for each in asked.discoveries] == [late, error, late]


def test_a_sealer_that_was_away_is_one_finding_with_the_times_of_its_seals():
    [late] = check(late_chain(2, 3, 8, 8, 9, 10)).discoveries
    assert (late.kind, late.seal, late.interval) == (Kind.SEALED_LATE, 3, Interval(START + 2 * HOUR, CLOSED))
    assert "these 4 intervals were sealed only from 2026-11-28T18:00:00Z to 2026-11-28T20:00:00Z" in late.message


def test_a_chain_may_begin_with_what_is_long_over():
    assert {each[0] for each in found(late_chain(30, 30, 31, 31, 32, 32))} == {Kind.SEALED_LATE}


def test_an_interval_that_was_sealed_long_after_its_end_is_said():
    [(kind, seal, where)] = found(HELD, allowance=timedelta(minutes=59))[:1]
    assert (kind, seal, where) == (Kind.SEALED_LATE, 1, Interval(START, CLOSED))
    assert kind.severity == "Warning"
