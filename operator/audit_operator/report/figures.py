"""Numbers and states of policies compared: what got worse besides verdicts.

What one of the two reports does not know is neither better nor worse. Only policies that both have are compared, and no
status that speaks about an earlier spec.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from audit_operator.api.policy_status import RetentionState
from audit_operator.report.model import FigureChange, Measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.report.trend import EarlierPolicy

_LAGS = ("", "1m", "5m", "15m", "1h", "6h", "24h")
_SHORT = "less than 1m"
_NONE_KNOWN = "none known"
"""Of losses: records are delivered, and no loss of any is known."""
_MORE_IS_BETTER = frozenset({Measure.PROVED, Measure.COMPLIANCE})
_Key = tuple[str, Measure, str]
"""A policy, what is measured, and a sink as kind/name or ``""``."""


def figure_changes(before: Iterable[EarlierPolicy], after: Iterable[EarlierPolicy]) -> tuple[FigureChange, ...]:
    """What differs, all policies together first, then policy by policy, what got worse first."""
    old, new = _by_name(before), _by_name(after)
    both = sorted(name for name in old.keys() & new.keys() if not (old[name].outdated or new[name].outdated))
    figures_old = {**_together([old[name] for name in both]), **_all(old[name] for name in both)}
    figures_new = {**_together([new[name] for name in both]), **_all(new[name] for name in both)}
    keys = sorted(figures_old.keys() | figures_new.keys())
    called = _called({sink for _, _, sink in keys if sink})
    found = [
        _change(key, called.get(key[2], ""), figures_old.get(key, ""), figures_new.get(key, ""))
        for key in keys
        if figures_old.get(key, "") != figures_new.get(key, "")
    ]
    return tuple(sorted(found, key=lambda each: (bool(each.policy), {True: 0, None: 1, False: 2}[each.worse])))


def _by_name(policies: Iterable[EarlierPolicy]) -> Mapping[str, EarlierPolicy]:
    return {_title(each): each for each in policies}


def _title(policy: EarlierPolicy) -> str:
    return f"{policy.kind} {policy.namespace}/{policy.name}" if policy.namespace else f"{policy.kind} {policy.name}"


def _together(policies: list[EarlierPolicy]) -> dict[_Key, str]:
    found = {}
    if rate := _rate(policies):
        found["", Measure.COMPLIANCE, ""] = rate
    if any(each.verified is not None for each in policies):
        found["", Measure.PROVED, ""] = str(sum(each.verified or 0 for each in policies))
    return found


def _rate(policies: Iterable[EarlierPolicy]) -> str:
    """Controls passed, of those passed or failed, never rounded up; empty where there is neither."""
    results = [each for policy in policies for each in policy.compliance]
    passed, failed = sum(each.passed for each in results), sum(each.failed for each in results)
    return f"{100 * passed // (passed + failed)}%" if passed + failed else ""


def _all(policies: Iterable[EarlierPolicy]) -> dict[_Key, str]:
    return {key: value for each in policies for key, value in _figures(each) if value}


def _figures(policy: EarlierPolicy) -> Iterator[tuple[_Key, str]]:
    about = _title(policy)
    yield (about, Measure.COMPLIANCE, ""), _rate([policy])
    yield (about, Measure.PROVED, ""), "" if policy.verified is None else str(policy.verified)
    yield (about, Measure.ERROR_RATE, ""), policy.metrics.logging_error_rate if policy.metrics else ""
    yield (about, Measure.DETECTION, ""), policy.metrics.mean_time_to_detect if policy.metrics else ""
    for way in policy.shipping:
        yield (about, Measure.LAG, str(way.sink)), way.lag or (_SHORT if way.state == "Delivering" else "")
        none = _NONE_KNOWN if way.state == "Delivering" else ""
        yield (about, Measure.LOST, str(way.sink)), str(way.lost) if way.lost else none
    for kept in policy.retention:
        yield (about, Measure.RETENTION, str(kept.status.sink)), kept.status.state


def _called(sinks: Iterable[str]) -> Mapping[str, str]:
    """Names of sinks; with the kind where there are several of a name: one's loss must not stand for the other's."""
    names = {sink: sink.partition("/")[2] for sink in sinks}
    several = Counter(names.values())
    return {sink: name if several[name] == 1 else sink for sink, name in names.items()}


def _change(key: _Key, sink: str, before: str, after: str) -> FigureChange:
    about, measure, _ = key
    return FigureChange(
        policy=about, measure=measure, sink=sink, before=before, after=after, worse=_worse(measure, before, after)
    )


def _worse(measure: Measure, before: str, after: str) -> bool | None:
    old, new = _badness(measure, before), _badness(measure, after)
    return None if old is None or new is None or old == new else new > old


def _badness(measure: Measure, value: str) -> float | None:
    """A number that is larger where things are worse; None where nothing can be said."""
    if measure is Measure.LOST:
        return 0.0 if value == _NONE_KNOWN else _number(value)
    if measure is Measure.LAG:
        known = "" if value == _SHORT else value
        return float(_LAGS.index(known)) if value and known in _LAGS else None
    if measure is Measure.RETENTION:
        return float(value != RetentionState.ENFORCED) if value else None
    if value == "missing":  # what was to be detected was not
        return math.inf
    number = _number(value)
    return -number if number is not None and measure in _MORE_IS_BETTER else number


def _number(value: str) -> float | None:
    try:
        return float(value.rstrip("%s"))
    except ValueError:
        return None
