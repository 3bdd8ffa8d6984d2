"""How much is written in a day: never more than was."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.observations import VOLUMES, volume
from audit_operator.controlplane.shipper.reading import OpenFile
from audit_operator.controlplane.shipper.volume import Volume

DAY = 24 * 3600.0


def opened(size, number=1):
    return OpenFile((1, number), 0, size)


def test_growth_counts_and_what_was_there_before_does_not():
    seen = Volume()
    assert seen.see(0, [opened(1000)]) == 0
    assert seen.see(5, [opened(1500)]) == 500
    # Rotated: the old file is read to its end, of the new one what comes after the first look counts.
    assert seen.see(10, [opened(1600), opened(50, 2)]) == 600
    assert seen.see(15, [opened(150, 2)]) == 700
    # Cut, and begun anew.
    assert seen.see(20, [opened(10, 2)]) == 700
    assert seen.see(25, [opened(40, 2)]) == 730


def test_only_what_lies_within_a_day_is_added_up_and_the_most_of_it_is_remembered():
    seen, size, said = Volume(), 0, []
    for ten_minutes in range(6 * 72):
        size += 100 if ten_minutes < 6 * 30 else 1
        said.append(seen.see(ten_minutes * 600.0, [opened(size)]))
    assert said[6 * 12] == 100 * 6 * 12
    assert set(said[6 * 24 :]) == {100 * (6 * 24 - 1)}


def test_what_grew_while_nobody_looked_may_have_been_written_at_any_time():
    seen = Volume()
    seen.see(0, [opened(1000)])
    assert seen.see(601, [opened(9000)]) == 0
    assert seen.see(1000, [opened(9005)]) == 5


@given(st.lists(st.tuples(st.integers(1, 5_000), st.integers(0, 1000), st.booleans()), max_size=60))
def test_it_is_never_more_than_what_was_written_in_some_day(looks):
    seen, now, number, size, written = Volume(), 0.0, 1, 0, []
    for pause, more, rotates in [*looks, *looks, *looks]:
        now += pause
        if rotates:
            number, size = number + 1, 0
        size += more
        written.append((now, more))
        said = seen.see(now, [opened(size, number)])
        # What was seen at a look was written since the one before.
        began = [0.0, *(time for time, _ in written)]
        days = [
            sum(each for start, (time, each) in zip(began, written, strict=False) if end - DAY <= start and time <= end)
            for end, _ in written
        ]
        assert said <= max(days)


def test_a_volume_has_few_steps():
    assert [volume(each) for each in (0, 10**8 - 1, 10**8, 3 * 10**9, 10**15)] == [0, 0, 10**8, 25 * 10**8, VOLUMES[-1]]
    assert all(1.2 <= two / one <= 1.3 for one, two in itertools.pairwise(VOLUMES))
