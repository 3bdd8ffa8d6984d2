"""What a collector says of itself: which configuration it runs, and what it has counted. Collector 0.157."""

from __future__ import annotations

import http.client
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from audit_operator.api.observations import ExporterFigures
from audit_operator.shipping.collector.configuration import IDENTITY
from audit_operator.shipping.collector.counting import LEFT_OUT
from audit_operator.shipping.collector.cutting import cut_counter
from audit_operator.shipping.collector.unreadable import COUNTED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.shipping.collector.configuration import Endpoints

_TIMEOUT = 2.0
_MOST_BYTES = 8 * 2**20
_INSTANCE = "service_instance_id"
_MAY_BE_FULL = 0.5
"""Of a queue: what waits to get into it is large at times."""
_HELD_UP, _WAITS_FOR = "processor_held_up", "processor_waits_for"
"""What `together` shows (tools/otelcol/processors)."""
_DETECTIONS = "deltatocumulative_datapoints"
"""Of each batch, one for each series; with the label `error` where it was dropped, nearly always for lack of room."""


class NoAnswer(Exception):  # noqa: N818  # a state of the collector
    """It does not answer, or not as a collector does."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What it said at one moment; counters count from when it loaded its configuration.

    Attributes:
        epoch: tells apart the times it did so.
        config: digest of the configuration.
        exporters: by id.
        waits: whether it has waited for a while to hand on what it has read, or has just failed to; None where it does
            not say.
        waits_for: exporters that it waits for while their queues are full.
        table_reloads: how often it has read its table again.
    """

    epoch: str
    config: str
    exporters: Mapping[str, ExporterFigures]
    received: int
    refused: int
    quarantined: int
    dropped: int
    waits: bool | None
    waits_for: frozenset[str]
    uncounted: int
    table_reloads: int

    @property
    def held_up(self) -> bool:
        """Whether it may be waiting to hand on what it has read: a queue, a disk or its memory limit takes no more.

        In an orderly end, it notes what waits so as delivered, and never reads it again (measured: 100 events each
        time). When it is killed, it notes nothing; what it has read since its last note arrives twice. What a tenant's
        store does, or one with BestEffort, holds up nobody.
        """
        return self.waits is not False or any(_may_be_full(self.exporters[each]) for each in self._waited_for)

    @property
    def _waited_for(self) -> frozenset[str]:
        return self.waits_for.intersection(self.exporters)


def _may_be_full(figures: ExporterFigures) -> bool:
    return figures.queue > _MAY_BE_FULL * figures.capacity


def read(endpoints: Endpoints) -> Telemetry:
    """Ask it. Blocks.

    Raises:
        NoAnswer: see there.
    """
    host, _, port = endpoints.health.rpartition(":")
    _get(host, int(port), "/")
    return parse(_get(endpoints.metrics_host, int(endpoints.metrics_port), "/metrics"))


def parse(text: str) -> Telemetry:
    """Read its metrics.

    Raises:
        NoAnswer: they are none of a collector.
    """
    counted: defaultdict[tuple[str, str], int] = defaultdict(int)
    about: Mapping[str, str] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.name.removesuffix("_total").removeprefix("otelcol_")
                if name == "target_info":
                    about = sample.labels
                elif (label := _COUNTED.get(name)) is not None:
                    counted[name, sample.labels.get(label, "")] += int(sample.value)
    except ValueError as error:
        raise NoAnswer("its metrics cannot be read") from error
    if _INSTANCE not in about:
        raise NoAnswer("what answers is no collector")
    exporters = {exporter for name, exporter in counted if name.startswith("exporter_")}
    return Telemetry(
        epoch=about[_INSTANCE],
        config=about.get(IDENTITY.replace(".", "_"), ""),
        exporters={each: _exporter(counted, each) for each in exporters},
        received=sum(value for (name, _), value in counted.items() if name == "receiver_accepted_log_records"),
        refused=sum(value for (name, _), value in counted.items() if name == "receiver_refused_log_records"),
        quarantined=sum(
            value
            for (name, label), value in counted.items()
            # A sidecar counts by the entry of the policy that names the file.
            if name == "processor_incoming_items" and f"{label}/".startswith(f"{COUNTED}/")
        ),
        dropped=sum(value for (name, _), value in counted.items() if name == "processor_filter_logs_filtered"),
        waits=bool(counted[_HELD_UP, ""]) if (_HELD_UP, "") in counted else None,
        waits_for=frozenset(exporter for name, exporter in counted if name == _WAITS_FOR),
        uncounted=counted["processor_incoming_items", LEFT_OUT]
        + sum(value for (name, error), value in counted.items() if name == _DETECTIONS and error),
        table_reloads=counted["lookup_source_reloads", ""],
    )


_COUNTED = {
    "exporter_sent_log_records": "exporter",
    "exporter_send_failed_log_records": "exporter",
    "exporter_enqueue_failed_log_records": "exporter",
    "exporter_indexed_log_records": "exporter",
    "exporter_refused_log_records": "exporter",
    "exporter_queue_size": "exporter",
    "exporter_queue_capacity": "exporter",
    "receiver_accepted_log_records": "receiver",
    "receiver_refused_log_records": "receiver",
    "processor_incoming_items": "processor",
    "processor_filter_logs_filtered": "filter",
    "lookup_source_reloads": "",
    _HELD_UP: "",
    _WAITS_FOR: "exporter",
    _DETECTIONS: "error",
}
"""Metrics, each with the label that tells apart what it counts for."""


def _exporter(counted: Mapping[tuple[str, str], int], exporter: str) -> ExporterFigures:
    def value(name: str) -> int:
        return counted.get((f"exporter_{name}", exporter), 0)

    # Of an exporter that hears of each record what became of it, as search_bulk does, what the collector counts as sent
    # has been answered, and may have been refused.
    sent = "indexed" if ("exporter_indexed_log_records", exporter) in counted else "sent"
    return ExporterFigures(
        sent=value(f"{sent}_log_records"),
        failed=value("send_failed_log_records") + value("refused_log_records"),
        not_queued=value("enqueue_failed_log_records"),
        queue=value("queue_size"),
        capacity=value("queue_capacity"),
        cut=counted.get(("processor_incoming_items", cut_counter(exporter)), 0),
    )


def _get(host: str, port: int, path: str) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise NoAnswer(f"it answers {path} with HTTP status {answer.status}")
        return answer.read(_MOST_BYTES).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"it does not answer {path}") from error
    finally:
        connection.close()
