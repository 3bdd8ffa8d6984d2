"""Detections of our own kind: from what people write to conditions on events."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

from pydantic import Field as Bounded

from audit_operator.api.audit import Stage
from audit_operator.api.detection import Detection, DetectionKey, DetectionPreset, DetectionSeverity, Selection
from audit_operator.api.model import ApiModel
from audit_operator.api.text import seconds
from audit_operator.detections.condition import Condition, Every, Field, Negation, Reading, Some, Test
from audit_operator.detections.event_fields import path_of
from audit_operator.detections.pattern import Comparison, Pattern
from audit_operator.detections.rule import DetectionRule, Pack
from audit_operator.policy.typed_document import TypedDocument, read_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.api.findings import Finding
    from audit_operator.api.rules import GroupResources

_DEFAULT_WINDOW = "5m"
_LATENCY = ("annotations", "apiserver.latency.k8s.io/total")
_RESOURCE, _SUBRESOURCE = ("objectRef", "resource"), ("objectRef", "subresource")


class DetectionFile(ApiModel):
    """A file of detections."""

    api_version: Literal["detections.audit-operator.dev/v1alpha1"]
    kind: Literal["AuditDetections"]
    detections: tuple[Detection, ...] = Bounded(min_length=1, max_length=256)


@dataclass(frozen=True, slots=True)
class OwnDetection:
    """A detection with all that its preset says put in.

    Attributes:
        condition: what an event must be like to count.
        threshold: how many it takes, or how many different values of `distinct`.
        window: within how many seconds.
        group_by: what is counted separately.
    """

    name: str
    condition: Condition
    threshold: int
    window: int
    group_by: tuple[DetectionKey, ...]
    distinct: DetectionKey | None
    severity: DetectionSeverity

    def rule(self, file: str) -> DetectionRule:
        """What must come, once, for it to fire: threshold and window are taken as reached."""
        return DetectionRule(Pack.OWN, self.name, file, self.condition)


def load_detections(text: str | bytes, *, file: str = "") -> tuple[OwnDetection, ...] | tuple[Finding, ...]:
    """The detections of a file, or at least one finding of severity Error. Never raises."""
    read = read_document(text, DetectionFile, "the file", file=file)
    if not isinstance(read, TypedDocument):
        return read
    return tuple(resolve(each) for each in read.value.detections)


def resolve(detection: Detection) -> OwnDetection:
    """A detection, complete."""
    base = _presets()[detection.preset] if detection.preset else detection
    selection = detection.selection or base.selection or Selection()
    return OwnDetection(
        detection.name,
        condition_of(selection),
        detection.threshold or base.threshold or 1,
        seconds(detection.window or base.window or _DEFAULT_WINDOW),
        detection.group_by or base.group_by,
        detection.distinct or base.distinct,
        detection.severity or base.severity or DetectionSeverity.MEDIUM,
    )


def in_namespace(own: OwnDetection, namespace: str) -> OwnDetection:
    """The detection for events of one namespace."""
    return replace(own, condition=Every((own.condition, _equals(("objectRef", "namespace"), [namespace]))))


def preset_detections() -> tuple[OwnDetection, ...]:
    """Every preset, as it is."""
    return tuple(resolve(each) for each in _presets().values())


@lru_cache(maxsize=1)
def _presets() -> dict[DetectionPreset, Detection]:
    text = files("audit_operator.detections").joinpath("presets.yaml").read_bytes()
    read = read_document(text, DetectionFile, "the presets")
    if not isinstance(read, TypedDocument):
        raise TypeError(read)
    named = {each.name: each for each in read.value.detections}
    return {preset: named[_dashed(preset)] for preset in DetectionPreset}


def _dashed(name: str) -> str:
    return re.sub("(?<!^)(?=[A-Z])", "-", name).lower()


def condition_of(selection: Selection) -> Condition:
    """What an event must be like to be selected."""
    return Every(tuple(_parts(selection)))


def _parts(selection: Selection) -> Iterator[Condition]:
    yield _stage(selection.stages)
    if selection.verbs:
        yield _equals(("verb",), selection.verbs)
    if selection.status_codes:
        yield _equals(("responseStatus", "code"), map(str, selection.status_codes))
    if selection.resources:
        yield Some(tuple(_resources(each) for each in selection.resources))
    yield from _like(("objectRef", "namespace"), selection.namespaces, selection.except_namespaces)
    yield from _like(("user", "username"), selection.users, selection.except_users)
    yield from _like(("user", "groups"), selection.user_groups, ())
    if selection.slower_than:
        number, unit = re.fullmatch("([0-9]+)(ms|s)", selection.slower_than).groups()  # type: ignore[union-attr]  # the model has seen to it
        least = Pattern(Comparison.AT_LEAST, str(int(number) * (1 if unit == "ms" else 1000)))
        yield Test(Field(_LATENCY, Reading.MILLISECONDS), (least,), place="slowerThan")
    for each in selection.fields:
        yield _test(each.path, each.values)


def _stage(stages: tuple[Stage, ...]) -> Condition:
    if stages:
        return _equals(("stage",), stages)
    # A failed authentication has no event but this one.
    failed = Every((_equals(("stage",), [Stage.RESPONSE_STARTED]), _equals(("responseStatus", "code"), ["401"])))
    return Some((_equals(("stage",), [Stage.RESPONSE_COMPLETE]), failed))


def _equals(path: tuple[str, ...], values: Iterable[str]) -> Test:
    return Test(Field(path), tuple(Pattern(Comparison.EQUALS, str(each)) for each in values), place=".".join(path))


def _like(path: tuple[str, ...], wanted: tuple[str, ...], excepted: tuple[str, ...]) -> Iterator[Condition]:
    if wanted:
        yield Test(Field(path), tuple(map(_glob, wanted)), place=".".join(path))
    if excepted:
        yield Negation(Test(Field(path), tuple(map(_glob, excepted)), place=".".join(path)))


def _glob(text: str) -> Pattern:
    return Pattern(Comparison.GLOB if "*" in text else Comparison.EQUALS, text)


def _test(path: str, values: tuple[str, ...]) -> Condition:
    return Test(Field(path_of(path) or (path,)), tuple(map(_glob, values)), place=path)


def _resources(entry: GroupResources) -> Condition:
    parts: list[Condition] = [Test(Field(_RESOURCE))]
    if entry.group == "":
        parts.append(Negation(Test(Field(("objectRef", "apiGroup")))))
    elif entry.group != "*":
        parts.append(_equals(("objectRef", "apiGroup"), [entry.group]))
    if entry.resources:
        parts.append(Some(tuple(map(_spelled, entry.resources))))
    if entry.resource_names:
        parts.append(_equals(("objectRef", "name"), entry.resource_names))
    return Every(tuple(parts))


def _spelled(spelling: str) -> Condition:
    """As `resource_matches` of the evaluator."""
    resource, slash, subresource = spelling.partition("/")
    parts: list[Condition] = []
    if resource != "*":
        parts.append(_equals(_RESOURCE, [resource]))
    if slash and subresource != "*":
        parts.append(_equals(_SUBRESOURCE, [subresource]))
    elif not slash and resource != "*":
        parts.append(Negation(Test(Field(_SUBRESOURCE))))
    return Every(tuple(parts))
