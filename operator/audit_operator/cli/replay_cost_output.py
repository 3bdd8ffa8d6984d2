"""What a replay says of costs, for people and for programs."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from audit_operator.replay.prices import Cost, Price, SinkCost

_CENT, _SMALL = Decimal("0.01"), Decimal("0.000001")
_GB = 10**9


def cost_lines(
    cost: Cost, currency: str, top: int, rule: Callable[[int | None], str], namespace: Callable[[str], str]
) -> Iterator[str]:
    """For people. `rule` and `namespace` say what these are called."""
    unit = f", in {currency}" if currency else ""
    yield ""
    if cost.hours is None:
        yield f"what it costs{unit}, to send this log once; it is too short to speak of a month"
        yield _row("  sink", "ingested")
        yield from (_row(f"  {each.destination.name}", _money(each.in_log)) for each in cost.sinks if _has_price(each))
    else:
        yield f"what a month like these {cost.hours:.1f} hours costs{unit}, once as much is kept as there will be"
        yield _row("  sink", "ingested", "kept", "together")
        for each in (each for each in cost.sinks if _has_price(each)):
            kept = _money(each.stored) if _is_kept_known(each) else "not known"
            yield _row(f"  {each.destination.name}", _money(each.ingested), kept, _money(each.month))
    yield from _doubts(cost)
    for title, amounts in (
        ("cost by rule", {rule(key): value for key, value in cost.by_rule.items()}),
        ("cost by namespace", {namespace(key): value for key, value in cost.by_namespace.items()}),
    ):
        if any(amounts.values()):
            yield ""
            yield title
            ordered = sorted(amounts, key=lambda name: (-amounts[name], name))
            yield from (_row(f"  {name}", _money(amounts[name])) for name in ordered[:top])
            if rest := sum((amounts[name] for name in ordered[top:]), Decimal(0)):
                yield _row(f"  {len(ordered) - top} others", _money(rest))


def cost_json(cost: Cost, currency: str) -> dict[str, Any]:
    """For programs. Prices are for 10^9 bytes, amounts in the currency of the prices; null: it cannot be said."""
    return {
        "currency": currency,
        "hours": None if cost.hours is None else float(round(cost.hours, 2)),
        "hoursBeforeFirst": float(round(cost.before, 2)),
        "sinks": [_sink(each, cost) for each in cost.sinks],
        "rules": [
            {"rule": rule, "cost": _number(value)}
            for rule, value in sorted(cost.by_rule.items(), key=lambda each: (each[0] is None, each[0] or 0))
        ],
        "namespaces": {name: _number(value) for name, value in sorted(cost.by_namespace.items())},
    }


def _doubts(cost: Cost) -> Iterator[str]:
    """What is not in these figures."""
    if cost.before:
        yield f"  the first record is {cost.before:,.1f} hours later than was asked for: reckoned from that record on"
    for each in cost.sinks:
        name = each.destination.name
        if not _has_price(each):
            yield f"  {name}: no price was given (--price {name}=...), so it is in none of these figures"
        if each.unknown:
            part = _part(each.unknown, each)
            yield f"  {name}: how long {part} of it is kept, no policy says; to keep that is in none of these (--kept)"
        if each.at_least:
            yield f"  {name}: {_part(each.at_least, each)} of it is reckoned with its minimum, and kept for longer"


def _sink(found: SinkCost, cost: Cost) -> dict[str, Any]:
    price, monthly = found.destination.price, cost.hours is not None
    return {
        "sink": found.destination.name,
        "events": found.amount.events,
        "bytes": found.amount.size,
        "price": None if price is None else _price(price),
        "log": None if price is None else _number(found.in_log),
        "month": {
            "ingested": _number(found.ingested),
            "kept": _number(found.stored) if _is_kept_known(found) else None,
            "bytesKeptUnknown": found.unknown,
            "bytesKeptAtLeast": found.at_least,
        }
        if monthly and price is not None
        else None,
    }


def _price(price: Price) -> dict[str, float | None]:
    return {
        "ingested": None if price.ingested is None else float(price.ingested * _GB),
        "keptForAMonth": None if price.kept is None else float(price.kept * _GB),
    }


def _has_price(found: SinkCost) -> bool:
    return found.destination.price is not None


def _is_kept_known(found: SinkCost) -> bool:
    """Whether anything of what it costs to keep records is: there is a price, and somebody says for how long."""
    price = found.destination.price
    return price is not None and price.kept is not None and (not found.amount.size or found.unknown < found.amount.size)


def _part(size: int, found: SinkCost) -> str:
    return "all" if size == found.amount.size else f"{size / found.amount.size:.0%}"


def _number(value: Decimal) -> float:
    return float(value.quantize(_SMALL, ROUND_HALF_UP))


def _money(value: Decimal) -> str:
    """To the cent; what is less than one is not nothing."""
    return "<0.01" if 0 < value < _CENT / 2 else f"{value.quantize(_CENT, ROUND_HALF_UP):,}"


def _row(name: str, *cells: str) -> str:
    room = 28
    lead = f"{name:{room}}" if len(name) < room else f"{name}\n{'':{room}}"
    return lead + "".join(f"{each:>14}" for each in cells)
