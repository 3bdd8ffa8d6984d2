"""What a collector's metrics say of records: told to the operator, and asked before the collector is ended."""

from __future__ import annotations

import re

TYPE_CHECKING = False  # as typing has it; to import that costs half a megabyte
if TYPE_CHECKING:
    from collections.abc import Iterator

QUARANTINED = "transform/quarantine/"
# As controlplane.shipper.telemetry has it; a test compares what both make of the same metrics.
MAY_BE_FULL = 0.5
"""Of a queue: what waits to get into it is large at times."""

_SAMPLE = re.compile(r"otelcol_([a-z_]+?)(?:_total)?(?:\{(.*)\})? ([0-9]+(?:\.[0-9]+)?(?:e\+?[0-9]{1,2})?)")
_INSTANCE = re.compile(r'target_info\{.*service_instance_id="([^"]{1,64})"')
_HELD_UP, _WAITS_FOR = "processor_held_up", "processor_waits_for"
_INDEXED = "exporter_indexed_log_records"
_BY_SINK = (
    "exporter_sent_log_records",
    "exporter_send_failed_log_records",
    "exporter_enqueue_failed_log_records",
    "exporter_queue_size",
    "exporter_queue_capacity",
    _INDEXED,
    "exporter_refused_log_records",
)


def condensed(lines: list[str]) -> dict[str, object]:
    """All of it: little enough that asking very many pods costs little."""
    counted = {"received": 0, "refused": 0}
    quarantined: dict[str, int] = {}
    epoch = ""
    for name, labels, value in _samples(lines):
        if name == "receiver_accepted_log_records":
            counted["received"] += value
        elif name == "receiver_refused_log_records":
            counted["refused"] += value
        elif name == "processor_incoming_items":
            source = _label(labels, "processor")
            if source.startswith(QUARANTINED):
                source = source.removeprefix(QUARANTINED)
                quarantined[source] = quarantined.get(source, 0) + value
    for line in lines:
        if found := _INSTANCE.match(line):
            epoch = found[1]
    return {"epoch": epoch, **counted, "quarantined": quarantined, "sinks": _by_sink(lines)}


def is_held_up(lines: list[str]) -> bool:
    """Whether it may be waiting to hand on what it has read: a queue, a disk or its memory limit takes no more.

    In an orderly end, it notes what waits so as delivered, and never reads it again (measured: 100 lines each time).
    When it is killed, it notes nothing; what it has read since its last note arrives twice. A sink with BestEffort
    holds up nobody.
    """
    waits = [bool(value) for name, _, value in _samples(lines) if name == _HELD_UP]
    waits_for = {_label(labels, "exporter") for name, labels, _ in _samples(lines) if name == _WAITS_FOR}
    full = (_may_be_full(figures) for sink, figures in _by_sink(lines).items() if sink in waits_for)
    return not waits or any(waits) or any(full)


def _may_be_full(figures: list[int]) -> bool:
    *_, queue, capacity = figures
    return queue > MAY_BE_FULL * capacity


def _by_sink(lines: list[str]) -> dict[str, list[int]]:
    """Sent, failed, not queued, waiting, and room: as controlplane.shipper.telemetry reckons them; a test compares."""
    sinks: dict[str, dict[str, int]] = {}
    for name, labels, value in _samples(lines):
        if name in _BY_SINK:
            figures = sinks.setdefault(_label(labels, "exporter"), {})
            figures[name] = figures.get(name, 0) + value
    return {sink: _figures(of) for sink, of in sinks.items()}


def _figures(of: dict[str, int]) -> list[int]:
    sent, failed, not_queued, queue, capacity, indexed, refused = (of.get(name, 0) for name in _BY_SINK)
    # What is sent to OpenSearch has been answered, and may have been refused.
    return [indexed if _INDEXED in of else sent, failed + refused, not_queued, queue, capacity]


def _samples(lines: list[str]) -> Iterator[tuple[str, str, int]]:
    """Name, labels and value of each."""
    for line in lines:
        if (sample := _SAMPLE.fullmatch(line)) is not None:
            yield sample[1], sample[2] or "", int(float(sample[3]))


def _label(labels: str, name: str) -> str:
    found = re.search(f'(?:^|,){name}="([^"]*)"', labels)
    return found[1] if found else ""
