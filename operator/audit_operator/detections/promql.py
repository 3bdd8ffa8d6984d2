"""How often a detection counts, as Prometheus is asked: an expression that is there exactly while it fires.

`increase()` will not do. It sees nothing of a series that appears with its first value, as that of a new source does
that tries twenty passwords between two scrapes; and it extrapolates, so that 19 events can be 21. Within one series
values never fall, since whatever begins to count anew is another one. So what it has now is compared with what it had a
window ago, and counts as a whole where it was not there: if its target was looked at then, or has begun later.

Where more is to be told apart than there is room for, series are missing, of those too who have done nothing for it.
How many events these would have is known, by namespace. It counts as if one had sent all of it.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from audit_operator.detections.series import (
    CONTROL_PLANE,
    CROWDED_EVENTS,
    DETECTION,
    EVENTS,
    NAMESPACE,
    PROBE,
    SINCE,
    condition_id,
    group_labels,
    keys_of,
    label_of,
)
from audit_operator.shipping.collector.counting import tells_apart

if TYPE_CHECKING:
    from audit_operator.detections.own import OwnDetection

_REMEMBERED = "1h"
"""For how long a target may not have been scraped a window ago, until nothing is known of what it had counted then."""
_LONGEST = 3600
"""Seconds of a window of which every value is looked at: tenants choose windows, and Prometheus pays."""
_MOST_VALUES = 240


def expression(own: OwnDetection, namespace: str = "", *, plane: str = "") -> str:
    """What is there exactly for those groups in which the detection fires; its value is the count.

    `own` is as `own.resolve` gives it; `namespace` is that of the AuditPolicy that it belongs to. Without a `plane`,
    what the shippers of all control planes count is added up.
    """
    return f"{_told(own, namespace, plane)} >= {own.threshold}"


def expression_of_crowded(own: OwnDetection, namespace: str = "", *, plane: str = "") -> str | None:
    """What is there exactly where events had no room, and whoever has sent most may have sent these as well.

    Then its value is the count that he might have reached; it adds up what was not told apart, and the largest group
    that does not fire by itself. None where nothing is told apart but namespaces. Arguments as those of `expression`.
    """
    if not tells_apart(keys_of(own)):
        return None
    by = _by(*(each for each in group_labels(own) if each == NAMESPACE))
    rest = f"sum{by} ({counted(_selector(CROWDED_EVENTS, own, namespace, plane), own.window, plane=plane)})"
    most = f"max{by} ({_told(own, namespace, plane)} < {own.threshold})"
    return f"({rest} > 0) + ({most} or {rest} * 0) >= {own.threshold}"


def _told(own: OwnDetection, namespace: str, plane: str) -> str:
    """What every group has counted."""
    groups = group_labels(own)
    events = counted(_selector(EVENTS, own, namespace, plane), own.window, plane=plane)
    if own.distinct is None:
        return f"sum{_by(*groups)} ({events})"
    each = f"sum{_by(*dict.fromkeys([*groups, label_of(own.distinct)]))} ({events}) > 0"
    return f"count{_by(*groups)} ({each})"


def counted(series: str, window: int, *, plane: str = "") -> str:
    """Events of each series that a selector chooses, all of this control plane if any, within `window` seconds."""
    since = f"{SINCE}{{{CONTROL_PLANE}={quoted(plane)}}}" if plane else SINCE
    within = f"{window}s" if window <= _LONGEST else f"{window}s:{math.ceil(window / _MOST_VALUES)}s"
    before = f"last_over_time({series}[{_REMEMBERED}] offset {window}s)"
    seen = f"last_over_time({since}[{_REMEMBERED}] offset {window}s)"
    # The least: what an earlier collector had counted is still within the window.
    young = f"min_over_time({since}[{within}]) > time() - {window}"
    # What nobody looked at may have counted for weeks: what it had at first says nothing, only how much there is more.
    unseen = f"min_over_time({series}[{within}]) unless on (job, instance) ({seen} or {young})"
    most = f"max_over_time({series}[{within}])"
    return f"{most} - ({before} or ({unseen})) or {most}"


def quoted(text: str) -> str:
    """A string of PromQL."""
    # The escapes of JSON are some of those of Go, but for pairs of surrogates, which are not made here.
    return json.dumps(text, ensure_ascii=False)


def _selector(metric: str, own: OwnDetection, namespace: str, plane: str) -> str:
    matchers = {DETECTION: condition_id(own, namespaced=bool(namespace)), PROBE: ""}
    if plane:
        matchers[CONTROL_PLANE] = plane
    if namespace:
        matchers[NAMESPACE] = namespace
    return f"{metric}{{{', '.join(f'{name}={quoted(value)}' for name, value in matchers.items())}}}"


def _by(*labels: str) -> str:
    return f" by ({', '.join(labels)})" if labels else ""
