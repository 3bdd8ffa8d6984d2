"""What a policy would cost, with prices that somebody else must say: those of clouds change, and none stands here.

A sink has a price for what comes in, one for what is kept for a month, or both. What is kept at a time is what comes in
an hour times the hours for which it is kept; where nobody says how long that is, only what comes in is priced, and how
much that is about is told. Sizes are those of events as JSON, before any compression.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from audit_operator.replay.outcome import Amount

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.replay.outcome import Outcome

MONTH = 30 * 24
"""Hours."""

_UNITS = {"GB": 10**9, "GiB": 2**30}
_PART = re.compile(r"(?P<amount>[0-9]{1,9}(\.[0-9]{1,9})?)/(?P<unit>GB|GiB)(?P<kept>-month)?", re.ASCII)


class PriceUnreadableError(ValueError):
    """A text is no price; the message says what one looks like."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a byte costs: once when it comes in, and for each month in which it is kept. None: nobody has said."""

    ingested: Decimal | None = None
    kept: Decimal | None = None

    @classmethod
    def parse(cls, text: str) -> Price:
        """Of ``0.50/GB``, ``0.023/GB-month``, or both with a comma between; GB is 10^9 bytes, GiB 2^30.

        Raises:
            PriceUnreadableError: it is none of these.
        """
        found: dict[bool, Decimal] = {}
        for part in text.split(","):
            match = _PART.fullmatch(part.strip())
            if match is None or (is_kept := match["kept"] is not None) in found:
                message = f"{text!r} is no price; write one like 0.50/GB, 0.023/GB-month, or 0.50/GB,0.03/GB-month"
                raise PriceUnreadableError(message)
            found[is_kept] = Decimal(match["amount"]) / _UNITS[match["unit"]]
        return cls(found.get(False), found.get(True))


@dataclass(frozen=True, slots=True)
class Kept:
    """For how many hours records are kept, so far as anybody has said.

    Attributes:
        hours: None: nobody has.
        at_least: whether they may be kept for longer.
    """

    hours: int | None = None
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Destination:
    """A sink: its price, if anybody has said it, and how long it keeps records of each namespace that goes there."""

    name: str
    price: Price | None
    kept: Mapping[str, Kept]


@dataclass(slots=True)
class SinkCost:
    """What comes to one sink, and its price.

    Attributes:
        amount: of the log.
        in_log: what it costs to send that, once.
        ingested: what a month of the same costs when it comes in.
        stored: what a month costs of what is kept at a time, once it has filled up.
        unknown: bytes of the log of which nobody says how long they are kept, and that are not in `stored`.
        at_least: bytes of the log that may be kept for longer than `stored` reckons with.
    """

    destination: Destination
    amount: Amount = field(default_factory=Amount)
    in_log: Decimal = Decimal(0)
    ingested: Decimal = Decimal(0)
    stored: Decimal = Decimal(0)
    unknown: int = 0
    at_least: int = 0

    @property
    def month(self) -> Decimal:
        """Both together."""
        return self.ingested + self.stored


@dataclass(frozen=True, slots=True)
class Cost:
    """What it costs by sink, and over all sinks that have a price by rule and by namespace.

    Attributes:
        hours: of the log; None where it is too short to speak of a month. Then all that is reckoned is `in_log`.
        before: hours before these that were asked for as well, and have no records; nothing is reckoned over them.
        by_rule: a month, or without `hours` the log; by index of the rule.
        by_namespace: the same by namespace; ``""`` for requests without one.
    """

    hours: Decimal | None
    sinks: tuple[SinkCost, ...]
    by_rule: Mapping[int | None, Decimal]
    by_namespace: Mapping[str, Decimal]
    before: Decimal = Decimal(0)


def cost(
    outcome: Outcome, destinations: Iterable[Destination], hours: Decimal | None, before: Decimal = Decimal(0)
) -> Cost:
    """The price of what a policy records of a log of so many hours."""
    sinks = tuple(map(SinkCost, destinations))
    by_rule: defaultdict[int | None, Decimal] = defaultdict(Decimal)
    by_namespace: defaultdict[str, Decimal] = defaultdict(Decimal)
    for (rule, namespace), amount in outcome.by_rule_and_namespace.items():
        for sink in (each for each in sinks if namespace in each.destination.kept):
            price = _add(sink, namespace, amount, hours)
            by_rule[rule] += price
            by_namespace[namespace] += price
    return Cost(hours, sinks, dict(by_rule), dict(by_namespace), before)


def _add(sink: SinkCost, namespace: str, amount: Amount, hours: Decimal | None) -> Decimal:
    """Count it at a sink; returns its price for a month, or without `hours` that of sending it once."""
    price, kept = sink.destination.price or Price(), sink.destination.kept[namespace]
    sink.amount.add(amount.events, amount.size)
    once = amount.size * (price.ingested or Decimal(0))
    sink.in_log += once
    if hours is None:
        return once
    ingested, stored = once * MONTH / hours, Decimal(0)
    if price.kept is not None and kept.hours is None:
        sink.unknown += amount.size
    elif price.kept is not None and kept.hours is not None:
        stored = amount.size * kept.hours / hours * price.kept
        sink.at_least += amount.size if kept.at_least else 0
    sink.ingested += ingested
    sink.stored += stored
    return ingested + stored
