"""Prices of sinks: how they are written, and what they make of a log."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.replay.outcome import Amount, Outcome
from audit_operator.replay.prices import Destination, Kept, Price, PriceUnreadableError, cost

GB = 10**9
DAY = Decimal(24)


def outcome(**sizes):
    """By namespace, of one rule each."""
    by_both = {(number, name): Amount(1, size) for number, (name, size) in enumerate(sizes.items())}
    by_namespace = {name: Amount(1, size) for name, size in sizes.items()}
    return Outcome({}, Amount(len(sizes), sum(sizes.values())), {}, by_namespace, by_both, 0)


@pytest.mark.parametrize(
    ("text", "ingested", "kept"),
    [
        ("0.50/GB", "0.5", None),
        ("0.023/GB-month", None, "0.023"),
        ("1/GB,2/GB-month", "1", "2"),
        ("2/GB-month, 1/GB", "1", "2"),
        ("0/GB", "0", None),
    ],
)
def test_a_price_is_for_what_comes_in_or_for_what_is_kept_or_for_both(text, ingested, kept):
    price = Price.parse(text)
    assert price.ingested == (None if ingested is None else Decimal(ingested) / GB)
    assert price.kept == (None if kept is None else Decimal(kept) / GB)
    assert Price.parse("1/GiB").ingested == Decimal(1) / 2**30


@pytest.mark.parametrize(
    "text", ["", "1", "1/MB", "-1/GB", "1/GB,2/GB", "1/GB-month,1/GB-month", "1e3/GB", "NaN/GB", "1/GB,"]
)
def test_anything_else_is_no_price(text):
    with pytest.raises(PriceUnreadableError, match="write one like"):
        Price.parse(text)


def test_a_month_is_what_comes_in_and_what_is_kept_at_a_time():
    destination = Destination("s", Price.parse("0.50/GB,0.03/GB-month"), {"web": Kept(90 * 24)})
    found = cost(outcome(web=2 * GB), [destination], DAY)
    [sink] = found.sinks
    assert sink.in_log == 1
    assert sink.ingested == 30  # 60 GB a month
    assert sink.stored == Decimal("5.4")  # 180 GB at a time
    assert found.by_namespace == {"web": sink.month}


def test_what_nobody_knows_is_told_and_not_priced():
    price = Price.parse("1/GB,1/GB-month")
    kept = {"web": Kept(), "shop": Kept(24, at_least=True)}
    [sink] = cost(outcome(web=3 * GB, shop=GB, other=GB), [Destination("s", price, kept)], DAY).sinks
    assert (sink.amount.size, sink.unknown, sink.at_least) == (4 * GB, 3 * GB, GB)
    assert sink.stored == 1
    [unpriced] = cost(outcome(web=GB), [Destination("s", None, {"web": Kept()})], DAY).sinks
    assert (unpriced.amount.size, unpriced.month, unpriced.unknown) == (GB, 0, 0)
    [in_only] = cost(outcome(web=GB), [Destination("s", Price.parse("1/GB"), {"web": Kept()})], DAY).sinks
    assert (in_only.unknown, in_only.ingested) == (0, 30)


def test_a_log_that_is_too_short_for_a_month_has_the_price_of_sending_it():
    found = cost(outcome(web=GB), [Destination("s", Price.parse("2/GB,1/GB-month"), {"web": Kept(24)})], None)
    assert (found.sinks[0].in_log, found.sinks[0].month, found.by_namespace["web"]) == (2, 0, 2)


sizes = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 10**15), max_size=5)
prices = st.builds(
    lambda one, two: Price(Decimal(one) / GB, Decimal(two) / GB), st.integers(0, 999), st.integers(0, 999)
)
kepts = st.builds(Kept, st.none() | st.integers(1, 10**6), st.booleans())
destinations = st.lists(
    st.builds(Destination, st.text(max_size=3), st.none() | prices, st.dictionaries(st.sampled_from("abcde"), kepts)),
    max_size=4,
)


@given(sizes, destinations, st.none() | st.integers(1, 10**4).map(Decimal))
def test_rules_and_namespaces_and_sinks_add_up_to_the_same(amounts, found, hours):
    made = cost(outcome(**amounts), found, hours)
    sinks = sum((each.in_log if hours is None else each.month for each in made.sinks), Decimal(0))
    for parts in (made.by_rule, made.by_namespace):
        assert abs(sum(parts.values(), Decimal(0)) - sinks) <= abs(sinks) * Decimal("1e-20")
