"""What was counted by namespace never falls, and is asked for only where there is more of it."""

from __future__ import annotations

import pytest

from audit_operator.api.observations import EVERYWHERE, UnreadableLines
from audit_operator.controlplane.shipper import unreadable_tally
from audit_operator.controlplane.shipper.unreadable_tally import SERIES, UnreadableTally


class Collector:
    """Shows these values, or nothing."""

    def __init__(self, monkeypatch):
        self.shown, self.asked = {}, 0
        monkeypatch.setattr(unreadable_tally, "samples", self.samples)

    def samples(self, address, begins):
        assert (address, begins) == ("127.0.0.1:1", (SERIES,))
        self.asked += 1
        return self.shown

    def show(self, counts, start=1):
        self.shown = {
            f'{SERIES}object_namespace="{place[0]}",reason="{place[1]}",start="{start}"}}': str(count)
            for place, count in counts.items()
        }


@pytest.fixture
def collector(monkeypatch):
    return Collector(monkeypatch)


def tally():
    return UnreadableTally(lambda: "127.0.0.1:1")


def test_sums_go_on_where_the_collector_begins_anew_or_forgets(collector):
    it = tally()
    collector.show({("shop", "unreadable bodies"): 2, ("", "no JSON object"): 1})
    assert it.see("a", 3) == (
        UnreadableLines("", "no JSON object", 1),
        UnreadableLines("shop", "unreadable bodies", 2),
    )
    collector.show({("shop", "unreadable bodies"): 1}, start=2)
    assert it.see("b", 1)[1] == UnreadableLines("shop", "unreadable bodies", 3)
    collector.show({("shop", "unreadable bodies"): 4}, start=2)
    assert it.see("b", 4)[1] == UnreadableLines("shop", "unreadable bodies", 6)


def test_nothing_is_asked_while_there_is_no_more_of_it(collector):
    it = tally()
    for _ in range(5):
        it.see("a", 0)
    assert collector.asked == 2  # once more: what is counted may be shown later
    collector.shown = None
    for _ in range(3):
        it.see("a", 1)
    assert collector.asked == 5
    collector.show({("shop", "no user"): 1})
    assert it.see("a", 1) == it.see("a", 1) == (UnreadableLines("shop", "no user", 1),)


def test_many_namespaces_are_told_together(collector):
    collector.show({(f"n{number}", "no user"): 1 + (number == 299) for number in range(300)})
    told = tally().see("a", 301)
    assert len(told) == 257
    assert sum(each.lines for each in told) == 301
    assert told[0] == UnreadableLines(EVERYWHERE, "no user", 44)
    assert UnreadableLines("n299", "no user", 2) in told
