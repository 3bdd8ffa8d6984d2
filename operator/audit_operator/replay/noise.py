"""What could be left out of a log without leaving out anything critical: the noise that pays most to be rid of.

A rule is suggested only where every verdict of the catalogue stays as it is with it. That is all it says: what no
catalogue has may matter to somebody. So only callers of the system's own are suggested, never people.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from audit_operator.api.audit import Level
from audit_operator.coverage.comparison import diff_coverage
from audit_operator.coverage.verdicts import assess
from audit_operator.policy.evaluate import rule_matches
from audit_operator.policy.model import GroupResources, Rule
from audit_operator.replay.outcome import Amount, replay, size_at
from audit_operator.replay.vocabulary import OTHER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from audit_operator.coverage.catalogue import Catalogue
    from audit_operator.coverage.verdicts import Coverage
    from audit_operator.policy.model import Policy
    from audit_operator.replay.cells import Cell, Cells
    from audit_operator.replay.outcome import Outcome

SYSTEM = "system:"
"""How the names of nodes, service accounts and parts of the control plane begin; nobody else may have such a name."""

ANONYMOUS = "system:anonymous"

_TRIES_EACH = 4


@dataclass(frozen=True, slots=True)
class NoiseRule:
    """A rule to be put first, and of how much it would have spared the log."""

    rule: Rule
    spared: Amount


class _Talk(NamedTuple):
    """A caller who says one thing over and over."""

    user: str
    api_group: str
    resource: str
    path: str


def noise_rules(
    cells: Cells,
    policy: Policy,
    catalogue: Catalogue,
    *,
    most: int,
    tell: Callable[[int], None] = lambda _: None,
) -> tuple[NoiseRule, ...]:
    """Up to `most` rules of large gain in bytes, the largest first; `tell` hears the number of each try."""
    outcome = replay(cells, policy)
    kept = assess(policy, catalogue)
    found: list[NoiseRule] = []
    for tried, (talk, verbs) in enumerate(_loudest(cells, outcome)[: most * _TRIES_EACH]):
        tell(tried + 1)
        for rule in _rules(talk, verbs):
            if any(_says_nothing_new(rule, each.rule) for each in found):
                continue
            with_rule = replace(policy, rules=(rule, *policy.rules))
            if not _harms(kept, with_rule, catalogue):
                found.append(NoiseRule(rule, _spared(cells, outcome, rule)))
                policy = with_rule
        if len(found) >= most:
            break
    return tuple(sorted(found, key=lambda each: -each.spared.size)[:most])


def _harms(kept: Coverage, policy: Policy, catalogue: Catalogue) -> bool:
    """Whether some critical action is judged otherwise at all: not even a leak is mended in passing."""
    return bool(diff_coverage(kept, assess(policy, catalogue)))


def _loudest(cells: Cells, outcome: Outcome) -> list[tuple[_Talk, tuple[str, ...]]]:
    """Who says most, and with which verbs, those first that say most."""
    sizes: defaultdict[_Talk, int] = defaultdict(int)
    verbs: defaultdict[_Talk, set[str]] = defaultdict(set)
    for cell, level in outcome.records.items():
        talk = _talk(cell)
        if talk is not None:
            sizes[talk] += size_at(min(level, cell.level), cells.counts[cell])
            verbs[talk].add(cell.place.verb)
    return [(talk, tuple(sorted(verbs[talk]))) for talk in sorted(sizes, key=lambda each: (-sizes[each], each))]


def _talk(cell: Cell) -> _Talk | None:
    user, place = cell.user, cell.place
    if user is None or not user.startswith(SYSTEM) or user == ANONYMOUS or OTHER in "".join(map(str, place)):
        return None
    resource = "/".join(filter(None, (place.resource, place.subresource)))
    return _Talk(user, place.api_group, resource, place.path)


def _rules(talk: _Talk, verbs: tuple[str, ...]) -> Iterator[Rule]:
    """All verbs in one rule; each on its own, should that be too much."""
    for some in (verbs, *((each,) for each in verbs if len(verbs) > 1)):
        if talk.path:
            yield Rule(Level.NONE, users=(talk.user,), verbs=some, non_resource_urls=(talk.path,))
        else:
            entry = GroupResources(talk.api_group, (talk.resource,))
            yield Rule(Level.NONE, users=(talk.user,), verbs=some, resources=(entry,))


def _says_nothing_new(rule: Rule, other: Rule) -> bool:
    same = (rule.users, rule.resources, rule.non_resource_urls) == (
        other.users,
        other.resources,
        other.non_resource_urls,
    )
    return same and set(rule.verbs) <= set(other.verbs)


def _spared(cells: Cells, outcome: Outcome, rule: Rule) -> Amount:
    spared = Amount()
    for cell, level in outcome.records.items():
        if rule_matches(rule, cell.request):
            counts = cells.counts[cell]
            spared.add(counts.events, size_at(min(level, cell.level), counts))
    return spared
