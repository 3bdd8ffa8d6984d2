"""What a policy would have recorded of a log, and what of it another would not.

A log has what was recorded, and nothing else. So a policy that records less can be judged by it, and one that records
more cannot: what would come besides is counted where events show that there was a request, and its size is unknown.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.policy.compiled_evaluator import compile_evaluator

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit_operator.policy.model import Policy
    from audit_operator.replay.cells import Cell, Cells, Counts


@dataclass(slots=True)
class Amount:
    """Events, and bytes of their lines without what a level leaves out."""

    events: int = 0
    size: int = 0

    def add(self, events: int, size: int) -> None:
        """Count more."""
        self.events += events
        self.size += size


Records = dict["Cell", Level]
"""The level at which the events of a cell are recorded; what is not recorded is absent."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy records of a log.

    Attributes:
        records: the level of each cell that is recorded, as the policy demands it.
        total: what is recorded; of levels that the log does not have, at the log's.
        by_rule: the same by index of the rule; None for what no rule is about, and is not recorded.
        by_namespace: the same by namespace; ``""`` for requests without one.
        by_rule_and_namespace: the same by both.
        richer: events that the policy records with more than the log has of them.
    """

    records: Records
    total: Amount
    by_rule: dict[int | None, Amount]
    by_namespace: dict[str, Amount]
    by_rule_and_namespace: dict[tuple[int | None, str], Amount]
    richer: int


@dataclass(slots=True)
class _Sums:
    total: Amount = field(default_factory=Amount)
    by_rule: defaultdict[int | None, Amount] = field(default_factory=lambda: defaultdict(Amount))
    by_namespace: defaultdict[str, Amount] = field(default_factory=lambda: defaultdict(Amount))
    by_both: defaultdict[tuple[int | None, str], Amount] = field(default_factory=lambda: defaultdict(Amount))


def replay(cells: Cells, policy: Policy) -> Outcome:
    """Ask a policy about a log. Its names must be in the vocabulary of the cells."""
    decide = compile_evaluator(policy)
    records: Records = {}
    sums = _Sums()
    richer = 0
    for cell, counts in cells.counts.items():
        decision = decide(cell.request)
        sums.by_rule[decision.rule].add(0, 0)
        if decision.level is Level.NONE or cell.stage in decision.omit_stages:
            continue
        records[cell] = decision.level
        richer += counts.events if decision.level > cell.level else 0
        size = size_at(min(decision.level, cell.level), counts)
        rule, namespace = decision.rule, cell.place.namespace
        for amount in (sums.total, sums.by_rule[rule], sums.by_namespace[namespace], sums.by_both[rule, namespace]):
            amount.add(counts.events, size)
    return Outcome(records, sums.total, dict(sums.by_rule), dict(sums.by_namespace), dict(sums.by_both), richer)


def as_recorded(cells: Cells) -> Outcome:
    """The log as it is, as if some policy had demanded just that."""
    sums = _Sums()
    for cell, counts in cells.counts.items():
        for amount in (sums.total, sums.by_namespace[cell.place.namespace]):
            amount.add(counts.events, counts.size)
    return Outcome({cell: cell.level for cell in cells.counts}, sums.total, {}, dict(sums.by_namespace), {}, 0)


def size_at(level: Level, counts: Counts) -> int:
    """Bytes of a cell's lines at a level, without the bodies that it leaves out."""
    if level is Level.REQUEST_RESPONSE:
        return counts.size
    return counts.size - counts.response - (counts.request if level is Level.METADATA else 0)


@dataclass(frozen=True, slots=True)
class Loss:
    """Events of a cell of which less is recorded. `after` is None for what is not recorded any more."""

    cell: Cell
    events: int
    before: Level
    after: Level | None


def losses(cells: Cells, before: Records, after: Records) -> tuple[Loss, ...]:
    """What is recorded by the one, and not or lower by the other; most events first.

    A level that only the policy demands, and of which the log has nothing, is a level all the same.
    """
    found = [
        Loss(cell, cells.counts[cell].events, level, after.get(cell))
        for cell, level in before.items()
        if after.get(cell) is None or after[cell] < level
    ]
    return tuple(sorted(found, key=lambda loss: (loss.after is not None, -loss.events, _order(loss.cell))))


def _order(cell: Cell) -> tuple[str, ...]:
    return (cell.user or "", *map(str, cell.place), *cell.groups, cell.stage, cell.level)


def talkers(cells: Cells, records: Records, of: Callable[[Cell], str], most: int) -> list[tuple[str, Amount]]:
    """Who or what makes most of what is recorded, by bytes."""
    sums: defaultdict[str, Amount] = defaultdict(Amount)
    for cell, level in records.items():
        counts = cells.counts[cell]
        sums[of(cell)].add(counts.events, size_at(min(level, cell.level), counts))
    return sorted(sums.items(), key=lambda each: (-each[1].size, each[0]))[:most]
