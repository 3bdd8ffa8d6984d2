"""Seconds without a ready API server, as somebody outside of the cluster sees them."""

from __future__ import annotations

import base64
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import yaml

from audit_operator.controlplane.static_pod.loopback import Loopback

if TYPE_CHECKING:
    from pathlib import Path

_SAMPLE = 0.1


@dataclass
class Availability:
    """Asks /readyz ten times a second while it is entered; `gap` is the longest time without a ready answer."""

    kubeconfig: Path
    folder: Path
    gap: float = 0.0
    away: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(30)

    def _watch(self) -> None:
        cluster = yaml.safe_load(self.kubeconfig.read_text())["clusters"][0]["cluster"]
        ca = self.folder / "ca.crt"
        ca.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
        address = urlsplit(cluster["server"])
        probe = Loopback(ca, None)
        ready_at = time.monotonic()
        while not self._stop.wait(_SAMPLE):
            if not probe.obstacle(address.hostname or "", address.port or 443):
                ready_at, gap = time.monotonic(), time.monotonic() - ready_at
                self.gap = max(self.gap, gap)
                self.away += gap if gap > 1 else 0
