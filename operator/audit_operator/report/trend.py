"""Two reports compared: what got worse since the last one is what a reader wants to know first."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field, ValidationError

from audit_operator.api.model import ApiModel
from audit_operator.api.parsing import to_json
from audit_operator.api.policy_status import Verdict
from audit_operator.api.text import Timestamp
from audit_operator.report.figures import figure_changes
from audit_operator.report.model import API_VERSION, KIND, Change, Counts, Trend, badness

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.report.model import Group, Report

_CLUSTER = ""
"""Stands for the cluster as a whole among names of namespaces."""


class _Earlier(ApiModel):
    model_config = ConfigDict(extra="ignore")


class EarlierGroup(_Earlier):
    """Of a group, what is compared."""

    cluster: bool = Field(default=False)
    namespaces: tuple[str, ...] = Field(default=())
    verdicts: dict[str, Verdict]


class EarlierFramework(_Earlier):
    """Of the results of a framework, what is compared."""

    passed: int = Field(default=0)
    failed: int = Field(default=0)


class EarlierMetrics(_Earlier):
    """Of the numbers of a policy, what is compared."""

    logging_error_rate: str = Field(default="")
    mean_time_to_detect: str = Field(default="")


class EarlierSink(_Earlier):
    """Of a sink, what it is called."""

    kind: str = Field(default="")
    name: str = Field(default="")

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class EarlierShipping(_Earlier):
    """Of the way to a sink, what is compared."""

    sink: EarlierSink = Field(default=EarlierSink())
    state: str = Field(default="")
    lag: str = Field(default="")
    lost: int | None = Field(default=None)


class EarlierKept(_Earlier):
    """Of what a sink keeps, what is compared."""

    sink: EarlierSink = Field(default=EarlierSink())
    state: str = Field(default="")


class EarlierRetention(_Earlier):
    """As it stands in a report."""

    status: EarlierKept = Field(default=EarlierKept())


class EarlierPolicy(_Earlier):
    """Of a policy, what is compared."""

    kind: str = Field(default="")
    namespace: str = Field(default="")
    name: str = Field(default="")
    outdated: bool = Field(default=False)
    verified: int | None = Field(default=None)
    compliance: tuple[EarlierFramework, ...] = Field(default=())
    metrics: EarlierMetrics | None = Field(default=None)
    shipping: tuple[EarlierShipping, ...] = Field(default=())
    retention: tuple[EarlierRetention, ...] = Field(default=())


class EarlierReport(_Earlier):
    """Of a report that another release may have made: what is compared, whatever else it has."""

    made: Timestamp
    control_plane: str
    groups: tuple[EarlierGroup, ...]
    policies: tuple[EarlierPolicy, ...] = Field(default=())


def read_earlier(text: str) -> EarlierReport | str:
    """A report that was printed as JSON; or why it is none, as a sentence."""
    try:
        value: Any = json.loads(text)
    except ValueError as error:
        return f"it is not JSON: {error}"
    if not isinstance(value, dict) or (value.get("apiVersion"), value.get("kind")) != (API_VERSION, KIND):
        return f"it is no {KIND} of {API_VERSION}"
    try:
        return EarlierReport.model_validate_json(text, by_alias=True, by_name=False)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def trend(earlier: EarlierReport, report: Report) -> Trend:
    """What has changed from one to the other."""
    before, after = _places(earlier.groups), _places(report.groups)
    both = sorted(before.keys() & after.keys())
    concerned: defaultdict[tuple[str, Verdict | None, Verdict | None], list[str]] = defaultdict(list)
    for place in both:
        old, new = before[place], after[place]
        if old == new:
            continue
        for action in sorted(old.keys() | new.keys()):
            if old.get(action) is not new.get(action):
                concerned[action, old.get(action), new.get(action)].append(place)
    changes = [
        Change(
            action=action,
            before=old,
            after=new,
            cluster=_CLUSTER in places,
            namespaces=tuple(place for place in places if place != _CLUSTER),
        )
        for (action, old, new), places in concerned.items()
    ]
    changes.sort(key=lambda each: (badness(each.before) - badness(each.after), each.action))
    return Trend(
        since=earlier.made,
        before=_count(before[place] for place in both),
        after=_count(after[place] for place in both),
        changes=tuple(changes),
        figures=figure_changes(earlier.policies, _as_earlier(report).policies),
        added=tuple(sorted(after.keys() - before.keys() - {_CLUSTER})),
        removed=tuple(sorted(before.keys() - after.keys() - {_CLUSTER})),
    )


def _as_earlier(report: Report) -> EarlierReport:
    """What is compared of a report that has just been made, by the same eyes as of the earlier one."""
    return EarlierReport.model_validate_json(json.dumps(to_json(report)), by_alias=True, by_name=False)


def _places(groups: Iterable[Group | EarlierGroup]) -> dict[str, Mapping[str, Verdict]]:
    return {place: group.verdicts for group in groups for place in (*group.namespaces, *((_CLUSTER,) * group.cluster))}


def _count(verdicts: Iterable[Mapping[str, Verdict]]) -> Counts:
    counted = dict.fromkeys(Verdict, 0)
    for each in verdicts:
        for verdict in each.values():
            counted[verdict] += 1
    return Counts(
        covered=counted[Verdict.COVERED],
        partial=counted[Verdict.PARTIAL],
        gaps=counted[Verdict.GAP],
        leaks=counted[Verdict.LEAK],
    )
