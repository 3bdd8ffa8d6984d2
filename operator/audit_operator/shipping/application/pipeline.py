"""What a sidecar in an application's pod is to do, in terms of no particular engine."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.application_logs import FieldMapping, TimeFormat
from audit_operator.shipping.application.standard import LONGEST_LINE

if TYPE_CHECKING:
    from audit_operator.shipping.exporters import Exporter
    from audit_operator.shipping.redaction.demand import RedactionDemand

COMPRESSED = ("gz", "bz2", "xz", "zst", "zip")


@dataclass(frozen=True, slots=True)
class LogFiles:
    """Files of one volume.

    Attributes:
        volume: name of the volume in the pod.
        path: of the files, from the volume's root; ``*`` stands for any part of a name, ``**`` for any folders.
        folder: where the sidecar has mounted the volume.
    """

    volume: str
    path: str
    folder: str

    @property
    def name(self) -> str:
        """As metrics and records name them."""
        return f"{self.volume}/{self.path}"

    @property
    def include(self) -> tuple[str, ...]:
        """Patterns that take in rotated files: what is rotated before it was read would be lost.

        Named as logrotate, logback, log4j and lumberjack do: something behind the name, or something that begins with a
        digit before its extension.
        """
        whole = f"{self.folder}/{self.path}"
        stem, dot, extension = whole.rpartition(".")
        behind = (whole, f"{whole}.*", f"{whole}-*")
        if not dot or "/" in extension or "*" in extension:
            return behind
        return (*behind, f"{stem}-[0-9]*.{extension}", f"{stem}.[0-9]*.{extension}")

    @property
    def exclude(self) -> tuple[str, ...]:
        """Compressed files cannot be read; what is in them was read before."""
        return tuple(f"{self.folder}/**/*.{each}" for each in COMPRESSED)

    @property
    def regex(self) -> str:
        """What the path of such a file matches, as a regular expression."""
        return "^(?:" + "|".join(map(_regex, self.include)) + ")$"


def _regex(pattern: str) -> str:
    parts = re.split(r"(\*\*/|\*+|\[0-9\])", pattern)
    meanings = {"**/": "(?:[^/]*/)*", "[0-9]": "[0-9]"}
    return "".join(
        meanings.get(each, "[^/]*" if each.startswith("*") else re.sub(r"([^A-Za-z0-9_/-])", r"\\\1", each))
        for each in parts
    )


@dataclass(frozen=True, slots=True)
class ApplicationPipeline:
    """From an application's files to sinks.

    Attributes:
        cluster: name of the cluster; records carry it, as they do the next two.
        namespace: of the policy and the pod.
        policy: name of the AuditPolicy.
        files: what is read.
        fields: where the mandatory fields stand.
        time_format: how times are written.
        redaction: what is taken out.
        exporters: one for each sink.
        standard: ids of the exporters for lines that keep to the standard.
        quarantine: ids of the exporters for lines that do not.
        state: folder for offsets and queues. It lives and dies with the pod.
        longest_line: bytes of the longest line that the standard allows and every sink takes.
    """

    cluster: str
    namespace: str
    policy: str
    files: tuple[LogFiles, ...]
    redaction: RedactionDemand
    exporters: tuple[Exporter, ...]
    standard: tuple[str, ...]
    quarantine: tuple[str, ...]
    state: str
    fields: FieldMapping = field(default_factory=FieldMapping)
    time_format: TimeFormat = TimeFormat.RFC3339
    longest_line: int = LONGEST_LINE
