"""What a replay found, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.api.text import printable
from audit_operator.cli.replay_cost_output import cost_json, cost_lines
from audit_operator.policy.model import Policy
from audit_operator.policy.render import render
from audit_operator.replay.outcome import Amount, losses, talkers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.policy.model import Rule
    from audit_operator.replay.cells import Cell, Cells
    from audit_operator.replay.noise import NoiseRule
    from audit_operator.replay.outcome import Loss, Outcome
    from audit_operator.replay.prices import Cost

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024
NOBODY = "(401)"
NO_NAMESPACE = "(none)"


@dataclass(frozen=True, slots=True)
class Replay:
    """All that was found.

    Attributes:
        noise: None where nobody asked.
        broken: what could not be read to its end.
        cost: None where nobody gave prices.
    """

    cells: Cells
    policy: Policy
    outcome: Outcome
    before: Outcome
    compared: bool
    noise: tuple[NoiseRule, ...] | None
    broken: tuple[str, ...]
    cost: Cost | None = None
    currency: str = ""

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What is recorded no more, or lower."""
        return losses(self.cells, self.before.records, self.outcome.records)


def as_text(found: Replay, top: int) -> str:
    """For people."""
    return "".join(f"{printable(line)}\n" for text in _lines(found, top) for line in text.split("\n"))


def as_json(found: Replay, top: int) -> dict[str, Any]:
    """For programs. Sizes are bytes; lists have at most `top` entries, those of rules and namespaces all."""
    cells, lost = found.cells, found.losses
    return {
        "log": {
            "events": cells.events,
            "bytes": sum(each.size for each in cells.counts.values()),
            "first": cells.first,
            "last": cells.last,
            "unreadable": cells.unreadable,
            "firstUnreadable": [each._asdict() for each in cells.first_unreadable],
            "broken": list(found.broken),
            "countedTogether": cells.merged,
        },
        "before": {"policy": found.compared, **_amount(found.before.total)},
        "after": {**_amount(found.outcome.total), "richerThanLog": found.outcome.richer},
        "rules": [
            {"rule": number, "level": _level(found.policy, number), **_amount(found.outcome.by_rule.get(number))}
            for number in _rules(found)
        ],
        "namespaces": {
            name or "": {"before": _amount(before), "after": _amount(found.outcome.by_namespace.get(name))}
            for name, before in sorted(found.before.by_namespace.items())
        },
        "missed": {
            "events": sum(each.events for each in lost if each.after is None),
            "lower": sum(each.events for each in lost if each.after is not None),
            "what": [_loss(each) for each in lost[:top]],
        },
        "talkers": {
            "users": [{"user": who, **_amount(amount)} for who, amount in _users(found, top)],
            "resources": [{"resource": what, **_amount(amount)} for what, amount in _resources(found, top)],
        },
        **({} if found.cost is None else {"cost": cost_json(found.cost, found.currency)}),
        **({} if found.noise is None else {"suggestions": [_suggestion(each) for each in found.noise]}),
    }


def size_text(size: int) -> str:
    """Such as ``1.5 GiB``."""
    value, unit = float(size), 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{size} {_UNITS[0]}"


def _lines(found: Replay, top: int) -> Iterator[str]:
    cells, before, after = found.cells, found.before, found.outcome
    yield f"{cells.events:,} events, {cells.first or '?'} to {cells.last or '?'}" if cells.events else "0 events"
    yield from _troubles(found)
    yield ""
    yield f"{'':28}{'events':>14}{'bytes':>12}"
    yield _row("before" if found.compared else "in the log", before.total)
    yield _row("with the policy", after.total) + _change(before.total, after.total)
    if after.richer:
        yield f"{after.richer:,} events would have more than the log has of them; how large they would be is unknown"
    yield from _missed(found.losses, top)
    yield from _table("by rule", ((_rule_text(found, each), after.by_rule.get(each)) for each in _rules(found)))
    yield from _namespaces(found, top)
    if found.cost is not None:
        yield from cost_lines(
            found.cost, found.currency, top, lambda each: _rule_text(found, each), lambda name: name or NO_NAMESPACE
        )
    yield from _table("who says most", _users(found, top))
    yield from _table("about what", _resources(found, top))
    yield from _suggestions(found)


def _troubles(found: Replay) -> Iterator[str]:
    cells = found.cells
    yield from (f"NOT READ TO ITS END: {each}" for each in found.broken)
    if cells.unreadable:
        yield f"{cells.unreadable:,} lines are no events, and counted nowhere; the first:"
        yield from (f"  {each.file}, from byte {each.offset}: {each.reason}" for each in cells.first_unreadable)
    if cells.merged:
        yield f"{cells.merged:,} events are counted as of (other): there are too many callers and places"


def _missed(lost: tuple[Loss, ...], top: int) -> Iterator[str]:
    gone = [each for each in lost if each.after is None]
    lower = [each for each in lost if each.after is not None]
    yield ""
    if not lost:
        yield "nothing is missed"
    for title, some in (("missed", gone), ("lower than before", lower)):
        if not some:
            continue
        yield f"{title}: {sum(each.events for each in some):,} events"
        for each in some[:top]:
            level = f"{each.before} -> {each.after or 'None'}"
            yield f"  {each.events:>12,}  {_what(each.cell)}, {each.cell.stage}: {level}"
        if len(some) > top:
            yield f"  {sum(each.events for each in some[top:]):>12,}  others"


def _namespaces(found: Replay, top: int) -> Iterator[str]:
    amounts = found.outcome.by_namespace
    ordered = sorted(amounts, key=lambda name: (-amounts[name].size, name))
    yield from _table("by namespace", ((name or NO_NAMESPACE, amounts[name]) for name in ordered[:top]))
    if len(ordered) > top:
        rest = Amount()
        for name in ordered[top:]:
            rest.add(amounts[name].events, amounts[name].size)
        yield _row(f"  {len(ordered) - top} others", rest)


def _suggestions(found: Replay) -> Iterator[str]:
    if found.noise is None:
        return
    yield ""
    if not found.noise:
        yield "no rule was found that spares something and costs no coverage"
        return
    total = found.outcome.total.size
    yield "put first, these rules spare what no critical action needs (the verdicts of `coverage` stay the same):"
    for each in found.noise:
        share = f", {each.spared.size / total:.0%}" if total else ""
        yield f"# {each.spared.events:,} events, {size_text(each.spared.size)}{share}"
        yield rule_yaml(each.rule)


def rule_yaml(rule: Rule) -> str:
    """A rule as it stands in a policy."""
    text = render(Policy((rule,)))
    return text.partition("rules:\n")[2].rstrip("\n")


def _table(title: str, rows: Iterable[tuple[str, Amount | None]]) -> Iterator[str]:
    listed = list(rows)
    if listed:
        yield ""
        yield title
        yield from (_row(f"  {name}", amount or Amount()) for name, amount in listed)


def _row(name: str, amount: Amount) -> str:
    room = 28
    lead = f"{name:{room}}" if len(name) < room else f"{name}\n{'':{room}}"
    return f"{lead}{amount.events:>14,}{size_text(amount.size):>12}"


def _change(before: Amount, after: Amount) -> str:
    return f"  {(after.size - before.size) / before.size:+.0%}" if before.size else ""


def _rules(found: Replay) -> list[int | None]:
    return [*range(len(found.policy.rules)), *([None] if None in found.outcome.by_rule else [])]


def _rule_text(found: Replay, number: int | None) -> str:
    return "no rule" if number is None else f"rules[{number}] {found.policy.rules[number].level}"


def _level(policy: Policy, number: int | None) -> str:
    return "None" if number is None else str(policy.rules[number].level)


def _users(found: Replay, top: int) -> list[tuple[str, Amount]]:
    return talkers(found.cells, found.outcome.records, lambda cell: NOBODY if cell.user is None else cell.user, top)


def _resources(found: Replay, top: int) -> list[tuple[str, Amount]]:
    return talkers(found.cells, found.outcome.records, _place, top)


def _place(cell: Cell) -> str:
    place = cell.place
    if not place.is_resource:
        return f"{place.verb} {place.path}"
    resource = "/".join(filter(None, (place.resource, place.subresource)))
    return f"{place.verb} {resource}{f'.{place.api_group}' if place.api_group else ''}"


def _what(cell: Cell) -> str:
    where = f" in {cell.place.namespace}" if cell.place.namespace else ""
    return f"{NOBODY if cell.user is None else cell.user}: {_place(cell)}{where}"


def _amount(amount: Amount | None) -> dict[str, int]:
    return {"events": amount.events, "bytes": amount.size} if amount else {"events": 0, "bytes": 0}


def _loss(loss: Loss) -> dict[str, Any]:
    place = loss.cell.place
    about = (
        {"apiGroup": place.api_group, "resource": place.resource, "subresource": place.subresource}
        if place.is_resource
        else {"path": place.path}
    )
    return {
        "events": loss.events,
        "user": loss.cell.user,
        "verb": place.verb,
        **{key: value for key, value in about.items() if value or key == "apiGroup"},
        "namespace": place.namespace,
        "stage": str(loss.cell.stage),
        "before": str(loss.before),
        "after": str(loss.after or "None"),
    }


def _suggestion(found: NoiseRule) -> dict[str, Any]:
    return {"rule": rule_yaml(found.rule), **_amount(found.spared)}
