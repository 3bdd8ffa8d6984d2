"""Detections over events that have been: what would have fired, for whom, when, and how often.

Events come in the order of their time, or nearly so. Of each group no more is remembered than the threshold asks for.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from audit_operator.api.detection import DetectionKey
from audit_operator.detections.condition import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from audit_operator.detections.own import OwnDetection

MAX_GROUPS = 50_000
"""Groups of one detection that are followed at once; of more it is said that they were not."""

MAX_AUDIT_IDS = 3

Group = tuple[str, ...]


@dataclass(slots=True)
class Episode:
    """A detection that fired: from the first event that counted until none came for as long as its window.

    Attributes:
        group: the values of what the detection groups by.
        first, last: when, in seconds since 1970.
        count: events that counted.
        audit_ids: of some of them.
    """

    detection: OwnDetection
    group: Group
    first: float
    last: float
    count: int
    audit_ids: list[str]


@dataclass(slots=True)
class _Followed:
    """The last events of a group, as time, value and audit ID, sorted; no more than the threshold."""

    recent: list[tuple[float, str, str]] = field(default_factory=list)
    episode: Episode | None = None
    last: float = 0.0


class History:
    """Takes events, and tells what fired.

    `prober` is the name of the user that live probes are sent as, whose requests count nowhere: they are refused by
    the dozen. Whoever impersonates it is recorded under his own name, and counts.
    """

    def __init__(self, detections: Sequence[OwnDetection], prober: str = "") -> None:
        self._detections = detections
        self._prober = prober
        self._groups: dict[str, dict[Group, _Followed]] = {each.name: {} for each in detections}
        self._episodes: list[Episode] = []
        self.events = 0
        self.probes = 0
        """Events of the prober."""
        self.not_followed = 0
        """Events that would have counted in groups for which there was no room."""

    def add(self, event: Mapping[str, Any]) -> None:
        """Take in an event (audit.k8s.io/v1).

        Raises:
            ValueError: it has no time.
        """
        time = _time(event)
        self.events += 1
        if self._prober and _at(event, "user", "username") == self._prober:
            self.probes += 1
            return
        for detection in self._detections:
            if evaluate(detection.condition, event) is True:
                self._count(detection, event, time)

    def episodes(self) -> list[Episode]:
        """What fired, in the order of time."""
        return sorted(self._episodes, key=lambda each: (each.first, each.detection.name, each.group))

    def _count(self, detection: OwnDetection, event: Mapping[str, Any], time: float) -> None:
        groups = self._groups[detection.name]
        group = tuple(value_of(key, event) for key in detection.group_by)
        followed = groups.get(group)
        if followed is None:
            if len(groups) >= MAX_GROUPS:
                _forget(groups, time - detection.window)
            if len(groups) >= MAX_GROUPS:
                self.not_followed += 1
                return
            followed = groups[group] = _Followed()
        value = value_of(detection.distinct, event) if detection.distinct else ""
        self._follow(detection, group, followed, (time, value, str(event.get("auditID", ""))))

    def _follow(
        self, detection: OwnDetection, group: Group, followed: _Followed, found: tuple[float, str, str]
    ) -> None:
        time, value, audit_id = found
        recent = followed.recent
        if detection.distinct:
            recent[:] = [each for each in recent if each[1] != value]
        insort(recent, found)
        del recent[: -detection.threshold]
        followed.last = max(followed.last, time)
        episode = followed.episode
        if episode and time - episode.last <= detection.window:
            episode.count += 1
            episode.last = max(episode.last, time)
            if len(episode.audit_ids) < MAX_AUDIT_IDS:
                episode.audit_ids.append(audit_id)
        elif len(recent) == detection.threshold and recent[-1][0] - recent[0][0] <= detection.window:
            audit_ids = [each for _, _, each in recent[-MAX_AUDIT_IDS:]]
            followed.episode = Episode(detection, group, recent[0][0], recent[-1][0], len(recent), audit_ids)
            self._episodes.append(followed.episode)


def _forget(groups: dict[Group, _Followed], before: float) -> None:
    """Groups whose last event cannot count any more."""
    for group in [group for group, each in groups.items() if each.last < before]:
        del groups[group]


def _time(event: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(_at(event, "stageTimestamp") or _at(event, "requestReceivedTimestamp")).timestamp()


def _at(event: Mapping[str, Any], *keys: str) -> str:
    found: Any = event
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def _source(event: Mapping[str, Any]) -> str:
    addresses = event.get("sourceIPs")
    return str(addresses[-1]) if isinstance(addresses, list) and addresses else ""


def _resource(event: Mapping[str, Any]) -> str:
    resource, subresource, group = (_at(event, "objectRef", key) for key in ("resource", "subresource", "apiGroup"))
    if not resource:
        return _at(event, "requestURI").partition("?")[0]
    return "".join((resource, f"/{subresource}" if subresource else "", f".{group}" if group else ""))


def _object(event: Mapping[str, Any]) -> str:
    return "/".join((_at(event, "objectRef", "namespace"), _resource(event), _at(event, "objectRef", "name")))


_VALUES: dict[DetectionKey, Callable[[Mapping[str, Any]], str]] = {
    DetectionKey.USER: lambda event: _at(event, "user", "username"),
    DetectionKey.SOURCE: _source,
    DetectionKey.NAMESPACE: lambda event: _at(event, "objectRef", "namespace"),
    DetectionKey.RESOURCE: _resource,
    DetectionKey.OBJECT: _object,
    DetectionKey.VERB: lambda event: _at(event, "verb"),
    DetectionKey.USER_AGENT: lambda event: _at(event, "userAgent"),
}


def value_of(key: DetectionKey, event: Mapping[str, Any]) -> str:
    """What an event is told apart by; empty where it has nothing of the sort."""
    return _VALUES[key](event)


def named(episode: Episode) -> Iterator[tuple[str, str]]:
    """What the group of an episode is: each key with its value."""
    yield from zip((key.value for key in episode.detection.group_by), episode.group, strict=True)
