"""Prices that a user gives for sinks, and where records go and how long they stay there, so far as objects say it."""

from __future__ import annotations

import argparse
import re
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.api.control_plane import Precision
from audit_operator.api.text import hours
from audit_operator.cli.inputs import read_file
from audit_operator.cli.usage import UsageError
from audit_operator.plan.shipping import sinks_by_namespace
from audit_operator.policy.document import parse_document
from audit_operator.replay.prices import Destination, Kept, Price, PriceUnreadableError, cost

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.cli.offline import Compiled
    from audit_operator.replay.cells import Cells
    from audit_operator.replay.outcome import Outcome
    from audit_operator.replay.prices import Cost
    from audit_operator.retention.demand import Demand

_SHORTEST = timedelta(hours=1)
_QUIET_PARTS = 10
"""A store without records in the first of so many parts of a span is taken for one that was not there yet."""
_PERIOD = re.compile(r"[1-9][0-9]{0,5}[hdwy]", re.ASCII)


def add_prices(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what sinks cost."""
    group = parser.add_argument_group("what it would cost")
    group.add_argument(
        "--price",
        metavar="SINK=PRICE",
        action="append",
        default=[],
        help="such as central=0.50/GB (what comes in), worm=0.02/GB-month (what is kept), or both with a comma between",
    )
    group.add_argument("--prices", metavar="FILE", type=Path, help="the same as a mapping in YAML, sink: price")
    group.add_argument("--currency", metavar="NAME", default="", help="that they are in; only shown")
    group.add_argument(
        "--kept", metavar="AGE", type=_age, help="how long records are kept where no policy says it, such as 90d"
    )


def prices_in(options: argparse.Namespace) -> dict[str, Price]:
    """By sink. Raises UsageError: one is no price, or given twice; or there is none, and something else about them."""
    given = list(_in_file(options.prices)) if options.prices else []
    for text in options.price:
        sink, equals, price = text.partition("=")
        if not equals or not sink:
            raise UsageError(f"--price {text!r}: write it as SINK=PRICE")
        given.append((sink, price))
    prices: dict[str, Price] = {}
    for sink, text in given:
        if sink in prices:
            raise UsageError(f"{sink} has two prices")
        try:
            prices[sink] = Price.parse(text)
        except PriceUnreadableError as error:
            raise UsageError(f"{sink}: {error}") from error
    if not prices and (options.kept is not None or options.currency):
        raise UsageError("--kept and --currency belong to --price and --prices, and there is no price")
    return prices


def reckoned(
    options: argparse.Namespace, prices: Mapping[str, Price], objects: Compiled | None, outcome: Outcome, cells: Cells
) -> Cost:
    """What the policy costs of a log; without objects, as if each of these sinks got all of it.

    Raises:
        UsageError: a price is of a sink that nothing goes to.
    """
    default = Kept(options.kept)
    if objects is None:
        everything = dict.fromkeys(outcome.by_namespace, default)
        found = [Destination(name, price, everything) for name, price in sorted(prices.items())]
    else:
        found = list(_destinations(objects, prices, outcome.by_namespace, default))
        _check(prices, objects)
    return cost(outcome, found, *_span(options, cells))


def ships_less(objects: Compiled) -> bool:
    """Whether API servers record more than what shippers send of it."""
    return objects.given is not None or objects.plane.spec.precision is Precision.ENVELOPE


def _destinations(
    objects: Compiled, prices: Mapping[str, Price], namespaces: Iterable[str], default: Kept
) -> Iterable[Destination]:
    routes = _routes(objects)
    kept: dict[ObjectRef, dict[str, Kept]] = {}
    for namespace in namespaces:
        for ref in routes.get(namespace, routes[""]):
            kept.setdefault(ref, {})[namespace] = default
    for ref, of_namespaces in sorted(kept.items(), key=lambda each: _name(each[0])):
        demands = objects.planned.retention.sinks.get(ref)
        for each in demands.classes if demands else ():
            mine = [name for name in each.namespaces if name in of_namespaces]
            of_namespaces.update(dict.fromkeys(mine, _kept(each.demand, default)))
        yield Destination(_name(ref), prices.get(_name(ref)), of_namespaces)


def _check(prices: Mapping[str, Price], objects: Compiled) -> None:
    used = {_name(ref) for sinks in _routes(objects).values() for ref in sinks}
    if unknown := sorted(prices.keys() - used):
        there = ", ".join(sorted(used)) or "none"
        raise UsageError(f"nothing goes to a sink {', '.join(unknown)}; sinks that get something: {there}")


def _routes(objects: Compiled) -> dict[str, tuple[ObjectRef, ...]]:
    return sinks_by_namespace(objects.snapshot, objects.planned, objects.plane.metadata.name)


def _kept(demand: Demand, default: Kept) -> Kept:
    """Until they are deleted; where they are not, for as long as they must be there, or somebody says that they are."""
    if demand.delete_after is not None:
        return Kept(demand.delete_after)
    least = max(demand.minimum, default.hours or 0)
    return Kept(least or None, at_least=least > (default.hours or 0) or demand.legal_hold)


def _name(ref: ObjectRef) -> str:
    return "/".join(filter(None, (ref.namespace, ref.name)))


def _span(options: argparse.Namespace, cells: Cells) -> tuple[Decimal | None, Decimal]:
    """Hours that records are spread over, None for less than one; and how many before them were asked for besides.

    Of a store these end when it was asked until. They begin when it was asked from, unless the first record is so much
    later that the sink, or what fills it, is rather younger than quiet: a price would come out too low.
    """
    try:
        first, last = (datetime.fromisoformat(each) for each in (cells.first, cells.last))
        before = timedelta()
        if options.span is not None:
            quiet, asked, last = first - options.span.since, options.span.until - options.span.since, options.span.until
            before = quiet if quiet > max(_SHORTEST, asked / _QUIET_PARTS) else before
            first = options.span.since + before
        span = last - first
    except (ValueError, TypeError):
        return None, Decimal(0)
    return _hours(span) if span >= _SHORTEST else None, _hours(before)


def _hours(span: timedelta) -> Decimal:
    return Decimal(int(span.total_seconds())) / 3600


def _in_file(path: Path) -> Iterable[tuple[str, str]]:
    document = parse_document(read_file(str(path)))
    if document.problems:
        problem = document.problems[0]
        raise UsageError(f"{path}:{problem.line}: {problem.message}")
    value = document.value
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise UsageError(f"{path}: write a mapping of sinks to prices, such as `central: 0.50/GB`")
    return [(sink, str(price)) for sink, price in value.items()]


def _age(text: str) -> int:
    """Hours."""
    if not _PERIOD.fullmatch(text):
        message = f"{text!r} is no age; write one like 90d, 12w or 1y"
        raise argparse.ArgumentTypeError(message)
    return hours(text)
