"""Counting events for detections, on the way that all events take: after redaction, and before any sink.

    logs/read ─► routing/detections ─► logs/write ─► routing ─► sinks
                        │ copies of what some detection is about
                        ▼
                 logs/detections ─► routing/counts ─► logs/ID ─► count/ID ─► metrics/ID ─► prometheus/detections

Each condition has a counter of its own, with room for so many series: none takes what others have. The counter's clock
is the collector's own, and one task works on all counts, so that none comes out of order and is dropped.

                              count/ID ─► metrics/all, a second later ─► prometheus/detections

What has no room for what it tells apart is missing among the series of its condition, also for namespaces that made
none. So all events of a condition are counted once more by namespace alone: nobody who sends requests chooses one. Who
keeps the collector makes of both how many had no room (`controlplane.shipper.crowding`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from audit_operator.api.detection import DetectionKey
from audit_operator.shipping.collector import unreadable
from audit_operator.shipping.collector.attributes import QUARANTINE, RAW, UNDISCLOSED, UNREADABLE
from audit_operator.shipping.collector.deciding import state
from audit_operator.shipping.collector.ottl import Statements, assign, attribute, body, cache, concat, text, transform
from audit_operator.shipping.collector.proving import IS_PROVED
from audit_operator.shipping.collector.reading import VERB, key
from audit_operator.shipping.collector.routing import DETACH
from audit_operator.shipping.collector.salvaging import REST
from audit_operator.shipping.enforcement.table import DETECTIONS, Step, detection_mark, user_symbol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.shipping.pipeline import AuditPipeline, EventCount

METRIC, OF_ALL = "audit_operator_detection_events", "audit_operator_detection_all_events"
"""Events by all that their condition tells apart, and by namespace alone. Prometheus' format adds ``_total``."""
DETECTION, PROBE, START, CONTROL_PLANE = "detection", "probe", "start", "control_plane"
"""Labels of every series: the condition; `true` on events of the prober, absent otherwise; when the collector began to
count this series, in milliseconds since 1970; the control plane. What a restart, or a long silence, made forgotten
begins anew as another series: within one, nothing ever falls."""

CODE = "op.code"
"""Attribute: the HTTP status code of an event's answer, wherever there is one."""
DETECTED = "op.detected"
"""Attribute: the conditions that hold for an event; absent if none does."""
UNREAD = "op.unread"
"""Attribute: that some condition was not compared with an event, for what that would cost, or since what it asks for
could not be read, or was not proved to be redacted; absent otherwise."""
LARGEST_READ = 2**16
"""Bytes of the line of an event whose bodies are compared with conditions of namespaces: a reader is everybody's."""
LONGEST_LABEL = 256
"""Bytes of a label's value; what is longer is cut."""

DETECT = "transform/detect"
EXPORTER = "prometheus/detections"
LEFT_OUT = "transform/unread"
"""Does nothing: the collector counts what passes through a processor."""
_LOGS, _BRANCH, _SPREAD = "logs/detections", "routing/detections", "routing/counts"
_UNREAD, _NOWHERE = "logs/unread", "nop"
_LABELS, _BATCH, _ONE = "transform/labels", "batch/detections", "groupbyattrs/detections"
START_NOTED = "transform/start"
"""Notes, in a label of each series, when it began; all that EXPORTER shows must pass it."""
_SUMMED, _LATER, _ADDED_UP, _ALL = "transform/all", "batch/all", "deltatocumulative/all", "metrics/all"
_BEHIND = "1s"
"""By how much what is counted of all may be behind, so that it is hardly ever ahead of what is told apart."""
_MOST_AT_ONCE = 100_000
"""Values that wait no longer. There are as many at most as events."""
_AFTER_THE_LAST = 600
"""Seconds for which a series that nobody counts on is still shown: it must not vanish before it is forgotten."""


_HAS_BODY = " or ".join(f"{body(each)} != nil" for each in ("requestObject", "responseObject"))
_IS_LARGE = f"Len({attribute(RAW)}) > {LARGEST_READ} and ({_HAS_BODY})"


def detect(pipeline: AuditPipeline) -> dict[str, Any]:
    """The processor that notes which conditions hold for an event, whose body is a map."""
    return transform(*_detect(pipeline.counting.counts))


def _detect(counts: tuple[EventCount, ...]) -> Iterator[Statements]:
    readable = f"{attribute(QUARANTINE)} == nil and IsMap(log.body)"
    # Writing withholds what is not proved. But that is behind the branch, and labels of series hold values.
    is_event = f"{readable} and {IS_PROVED}"
    yield Statements((assign(attribute(UNREAD), text("true")),), (f"{readable} and not ({IS_PROVED})",))
    code = body("responseStatus", "code")
    yield Statements((assign(attribute(CODE), code),), (is_event, f"IsMap({body('responseStatus')})"))
    # Of what is withheld, any of them may ask.
    yield Statements((assign(attribute(UNREAD), text("true")),), (is_event, f"{attribute(UNDISCLOSED)} != nil"))
    for namespaced in (False, True):
        theirs = [each for each in counts if each.namespaced is namespaced]
        concerned = (f"{attribute(state(DETECTIONS))} != nil",) if namespaced else ()
        plain = tuple(_note(each, _holds(each)) for each in theirs if not each.reads)
        yield Statements(plain, (is_event, *concerned))
        deep = [each for each in theirs if each.reads]
        unread = _unread(map(_holds, deep))
        yield Statements(unread, (is_event, *concerned, f"{attribute(UNREADABLE)} != nil"))
        lost = _unread(_holds(replace(each, where=each.before)) for each in theirs if each.before)
        yield Statements(lost, (is_event, *concerned, f"{attribute(UNREADABLE)} == {text(REST)}"))
        if namespaced:
            yield Statements(unread, (is_event, *concerned, _IS_LARGE))
        small = (f"not ({_IS_LARGE})",) if namespaced else ()
        for each in deep:
            conditions = (is_event, *concerned, *small, _holds(each))
            yield Statements((*each.reads, _note(each, each.then)), conditions)


def _unread(conditions: Iterable[str]) -> tuple[str, ...]:
    """Mark an event for which one of these holds."""
    joined = " or ".join(f"({each})" for each in conditions)
    return (assign(attribute(UNREAD), text("true"), joined),) if joined else ()


def _holds(count: EventCount) -> str:
    if not count.namespaced:
        return count.where
    return f"Index({attribute(state(DETECTIONS))}, {text(detection_mark(count.id))}) >= 0 and ({count.where})"


def _note(count: EventCount, where: str) -> str:
    return f"append({attribute(DETECTED)}, {text(count.id)}) where {where}"


def processors(pipeline: AuditPipeline) -> dict[str, Any]:
    """Those of the branch; `detect` is not among them."""
    return {
        # Its one task hands on batch after batch; two at a time would overtake each other, and be dropped.
        _BATCH: {"timeout": "0s"},
        _LABELS: transform(_labels(pipeline)),
        # All records of a batch under one resource: a series has one value in it, and so one time.
        _ONE: {},
        **{
            f"deltatocumulative/{each.id}": {"max_stale": f"{each.kept}s", "max_streams": each.most}
            for each in pipeline.counting.counts
        },
        **(_of_all(pipeline) if any(tells_apart(each.labels.values()) for each in pipeline.counting.counts) else {}),
        LEFT_OUT: {"error_mode": "ignore", "log_statements": []},
    }


def start() -> dict[str, Any]:
    """The processor that notes when a series began."""
    noted = f"set(datapoint.attributes[{text(START)}], {concat('UnixMilli(datapoint.start_time)')})"
    statements = [{"context": "datapoint", "statements": [noted]}]
    return {START_NOTED: {"error_mode": "ignore", "metric_statements": statements}}


def connectors(pipeline: AuditPipeline) -> dict[str, Any]:
    """The branch, and a counter for each condition, which gets its own events alone: a counter is slow to decline."""
    counts = pipeline.counting.counts
    of_each = [_copied(f"ContainsValue({attribute(DETECTED)}, {text(each.id)})", f"logs/{each.id}") for each in counts]
    return {
        _BRANCH: {
            "error_mode": "ignore",
            "default_pipelines": ["logs/write"],
            "table": [_copied(f"{attribute(DETECTED)} != nil or {attribute(UNREAD)} != nil", _LOGS)],
        },
        _SPREAD: {"error_mode": "ignore", "table": [*of_each, _copied(f"{attribute(UNREAD)} != nil", _UNREAD)]},
        **{f"count/{each.id}": _count(each) for each in counts},
    }


def _copied(condition: str, pipeline: str) -> dict[str, Any]:
    return {"context": "log", "condition": condition, "action": "copy", "pipelines": [pipeline]}


def _count(count: EventCount) -> dict[str, Any]:
    # Without a default, what lacks a label would not be counted; Prometheus takes an empty one for none.
    labels = [{"key": label, "default_value": ""} for label in (*count.labels, PROBE)]
    return {
        "logs": {
            METRIC: {
                "description": "Events that the condition of some detection holds for.",
                "attributes": [{"key": DETECTION, "default_value": count.id}, *labels],
            }
        }
    }


def exporter(pipeline: AuditPipeline, endpoint: str) -> dict[str, Any]:
    """Where the counts are shown."""
    return {
        EXPORTER: {
            "endpoint": endpoint,
            "without_scope_info": True,
            "metric_expiration": f"{_longest(pipeline) + _AFTER_THE_LAST}s",
            "const_labels": {CONTROL_PLANE: pipeline.cluster},
        }
    }


def pipelines(pipeline: AuditPipeline, reading: dict[str, Any]) -> dict[str, Any]:
    """Reading that ends in the branch, writing that begins there, and counting."""
    counts = pipeline.counting.counts
    of_all = [f"count/{each.id}" for each in counts if tells_apart(each.labels.values())]
    adding_up = {
        "receivers": of_all,
        "processors": [_SUMMED, _LATER, _ADDED_UP, START_NOTED],
        "exporters": [EXPORTER],
    }
    read = {**reading, "processors": [*reading["processors"][:-1], DETECT], "exporters": [_BRANCH]}
    return {
        "logs/read": read,
        "logs/write": {
            "receivers": [_BRANCH],
            "processors": reading["processors"][-1:],
            "exporters": reading["exporters"],
        },
        _LOGS: {
            "receivers": [_BRANCH],
            # What fails is offered again, and would be counted each time.
            "processors": [DETACH, _BATCH, _LABELS, _ONE],
            "exporters": [_SPREAD],
        },
        _UNREAD: {"receivers": [_SPREAD], "processors": [LEFT_OUT], "exporters": [_NOWHERE]},
        **{f"logs/{each.id}": {"receivers": [_SPREAD], "exporters": [f"count/{each.id}"]} for each in counts},
        **{
            f"metrics/{each.id}": {
                "receivers": [f"count/{each.id}"],
                "processors": [f"deltatocumulative/{each.id}", START_NOTED],
                "exporters": [EXPORTER],
            }
            for each in counts
        },
        **({_ALL: adding_up} if of_all else {}),
    }


def tells_apart(keys: Iterable[DetectionKey]) -> bool:
    """Whether series by these may have no room: by more than the namespace, which whoever sends requests can choose."""
    return not {DetectionKey.NAMESPACE}.issuperset(keys)


def _of_all(pipeline: AuditPipeline) -> dict[str, Any]:
    """The processors of counts by namespace alone."""
    return {
        _SUMMED: _without_groups(pipeline),
        _LATER: {"timeout": _BEHIND, "send_batch_size": _MOST_AT_ONCE},
        # Who sends requests cannot make more of these than there are namespaces.
        _ADDED_UP: {"max_stale": f"{_longest(pipeline)}s"},
    }


def _longest(pipeline: AuditPipeline) -> int:
    return max([unreadable.KEPT, *(each.kept for each in pipeline.counting.counts)])


def _without_groups(pipeline: AuditPipeline) -> dict[str, Any]:
    """The counts of one batch, added up for each condition and namespace; a group of these is one value."""
    labels = {each for count in pipeline.counting.counts for each in count.labels.items()}
    namespaces = (label for label, key in labels if key is DetectionKey.NAMESPACE)
    kept = ", ".join(map(text, sorted({DETECTION, PROBE, *namespaces})))
    statements = (
        # Each counter of a batch has a time of its own, and only what has the same is added up.
        ("datapoint", ["set(datapoint.start_time_unix_nano, 0)", "set(datapoint.time_unix_nano, 0)"]),
        ("metric", [f"aggregate_on_attributes({text('sum')}, [{kept}])", f"set(metric.name, {text(OF_ALL)})"]),
        ("datapoint", ["set(datapoint.start_time, Now())", "set(datapoint.time, Now())"]),
    )
    groups = [{"context": context, "statements": each} for context, each in statements]
    return {"error_mode": "ignore", "metric_statements": groups}


def _labels(pipeline: AuditPipeline) -> Statements:
    """Attributes that are called as labels are; what `detections.history` reads of events."""
    names = {key: label for each in pipeline.counting.counts for label, key in each.labels.items()}
    values = {each: cache(each.value) for each in DetectionKey}
    kept = ", ".join(map(text, (*names.values(), PROBE, DETECTED, UNREAD)))
    prober = text(user_symbol(pipeline.counting.prober))
    return Statements(
        (
            *_values(values),
            f"keep_keys(log.attributes, [{text(DETECTED)}, {text(UNREAD)}, {text(key(Step.USER))}])",
            assign(attribute(PROBE), text("true"), f"{attribute(key(Step.USER))} == {prober}"),
            *(assign(attribute(label), values[each], f"{values[each]} != nil") for each, label in names.items()),
            f"keep_keys(log.attributes, [{kept}])",
            *(_cut(attribute(label)) for label in names.values()),
            # What was counted is a matter of now: the time of events would come in any order.
            assign("log.time_unix_nano", "0"),
            assign("log.body", text("")),  # it would be copied for each condition
        )
    )


def _values(values: dict[DetectionKey, str]) -> Iterator[str]:
    user, addresses, agent = body("user", "username"), body("sourceIPs"), body("userAgent")
    resource, subresource, group = (attribute(each) for each in ("resource", "subresource", "apiGroup"))
    namespace, name = attribute("namespace"), body("objectRef", "name")
    of_resource, of_object = values[DetectionKey.RESOURCE], values[DetectionKey.OBJECT]
    yield assign(values[DetectionKey.USER], user, f"IsString({user})")
    yield assign(values[DetectionKey.SOURCE], f"{addresses}[Len({addresses}) - 1]", _is_filled(addresses))
    yield assign(values[DetectionKey.VERB], attribute(VERB))
    yield assign(values[DetectionKey.USER_AGENT], agent, f"IsString({agent})")
    yield assign(of_resource, f"Split({body('requestURI')}, {text('?')})[0]", f"{resource} == nil")
    yield assign(of_resource, resource, f"{resource} != nil")
    yield assign(of_resource, concat(of_resource, subresource, between="/"), f"{subresource} != nil")
    yield assign(of_resource, concat(of_resource, group, between="."), f"{resource} != nil and {group} != nil")
    yield assign(of_object, concat(of_resource, text(""), between="/"))
    yield assign(of_object, concat(of_resource, name, between="/"), f"{resource} != nil and {name} != nil")
    yield assign(of_object, concat(text(""), of_object, between="/"), f"{namespace} == nil")
    yield assign(of_object, concat(namespace, of_object, between="/"), f"{namespace} != nil")
    # A request can name any namespace: those that nobody has seen are all alike, as in stores.
    known = f"{attribute(state(Step.CLASS))} != nil and {namespace} != nil"
    yield assign(values[DetectionKey.NAMESPACE], namespace, known)


def _is_filled(path: str) -> str:
    return f"IsList({path}) and Len({path}) > 0"


def _cut(path: str) -> str:
    too_long = f"{path} != nil and Len({path}) > {LONGEST_LABEL}"
    return assign(path, f"Substring({path}, 0, {LONGEST_LABEL}, true)", too_long)
