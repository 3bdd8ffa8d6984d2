"""What a shipper on a control-plane node is to do, in terms of no particular engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.detection import DetectionKey
    from audit_operator.shipping.enforcement.table import Shape
    from audit_operator.shipping.exporters import Exporter
    from audit_operator.shipping.redaction.demand import RedactionDemand

LARGEST_LINE = 16 * 2**20
"""Bytes of the longest text that is read; what is longer is cut, and so is no event any more."""


@dataclass(frozen=True, slots=True)
class AuditFiles:
    """The API server's own files on one node.

    Attributes:
        include: patterns of paths. They must take in rotated files: what is rotated before it was read would be lost.
        exclude: patterns of paths; compressed files cannot be read.
    """

    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()

    @classmethod
    def of_log(cls, path: str) -> AuditFiles:
        """The files of an API server with this ``--audit-log-path``; rotation puts a time before the extension.

        Source: gopkg.in/natefinch/lumberjack.v2, which kube-apiserver writes with.
        """
        folder, _, name = path.rpartition("/")
        stem, dot, extension = name.rpartition(".")
        if not dot:
            stem, extension = name, ""
        year = "[0-9][0-9][0-9][0-9]"
        return cls((path, f"{folder}/{stem}-{year}-*{dot}{extension}"), (f"{folder}/*.gz",))


@dataclass(frozen=True, slots=True)
class AuditWebhook:
    """What API servers post to our gateway, which hands it on, event by event.

    Attributes:
        address: on loopback where the collector takes it, as ``HOST:PORT``.
    """

    address: str


@dataclass(frozen=True, slots=True)
class EventCount:
    """Events that one condition holds for, counted for all detections that ask for them alike.

    Attributes:
        id: of the condition.
        where: the condition, as a statement of the engine has it; or a part of it that costs little.
        reads: statements that fetch what the rest of the condition is about.
        then: that rest.
        before: `where` without what stands behind the bodies of an event; empty if none of it does.
        labels: what is counted separately, by label.
        namespaced: whether it counts only in namespaces whose entry in the decision table names it.
        kept: seconds for which a series is remembered after its last event.
        most: series at the same time.
    """

    id: str
    where: str
    labels: Mapping[str, DetectionKey]
    namespaced: bool
    kept: int
    most: int
    reads: tuple[str, ...] = ()
    then: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True)
class Counting:
    """What is counted of all events; `prober` is the name of the user that live probes are sent as."""

    counts: tuple[EventCount, ...] = ()
    prober: str = ""


@dataclass(frozen=True, slots=True)
class AuditPipeline:
    """From API servers to sinks.

    Attributes:
        cluster: name of the cluster, which every record carries.
        source: where events come from.
        shape: of the decision table.
        table: path of the file with the table's entries.
        state: folder for offsets and queues.
        routes: ids of exporters by route. Route ``""`` is for events of namespaces that nobody has seen.
        quarantine: ids of the exporters for lines that are no audit event.
        exporters: one for each sink.
        redactions: what is taken out, by name, of events whose class names it; ``""`` stands for all others.
        keys: path of the file with the keys of pseudonyms; it is read where some redaction makes any.
        counting: what is counted for detections.
    """

    cluster: str
    source: AuditFiles | AuditWebhook
    shape: Shape
    table: str
    state: str
    routes: Mapping[str, tuple[str, ...]]
    quarantine: tuple[str, ...]
    exporters: tuple[Exporter, ...]
    redactions: Mapping[str, RedactionDemand]
    keys: str = ""
    counting: Counting = Counting()
