"""Where the injected container finds its files, and keeps its own; the injection mounts volumes there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TYPE_CHECKING = False  # as typing has it; to import that costs half a megabyte
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

_MEBIBYTE = 2**20
_SHARE_OF_HEAP = 0.55
_SMALLEST_HEAP = 48


@dataclass(frozen=True, slots=True)
class Places:
    """Paths, and what the container may use.

    Attributes:
        config: folder with ``config.yaml``, from a ConfigMap; empty until the operator has written it.
        secret: folder with ``sidecar.json``, from a Secret; empty where no sink needs one.
        credentials: folder, in memory, where credentials are laid out as configurations name them.
        state: folder for offsets and queues, and for the configuration in use.
        message: file whose text a kubelet shows when the container has ended.
        collector: the binary.
        heap: MiB that the collector's heap should stay below.
    """

    config: Path
    secret: Path
    credentials: Path
    state: Path
    message: Path
    collector: Path
    heap: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """As the injection has it; variables let tests have it elsewhere."""

        def path(name: str, default: str) -> Path:
            return Path(environment.get(f"AUDIT_SHIPPER_{name}") or default)

        limit = int(environment.get("AUDIT_SHIPPER_MEMORY_LIMIT") or 0) // _MEBIBYTE
        return cls(
            config=path("CONFIG_FOLDER", "/etc/audit-shipper"),
            secret=path("SECRET_FOLDER", "/etc/audit-shipper-secret"),
            credentials=path("CREDENTIALS_FOLDER", "/etc/audit-shipper-credentials"),
            state=path("STATE_FOLDER", "/var/lib/audit-shipper"),
            message=path("MESSAGE", "/dev/termination-log"),
            collector=path("COLLECTOR", "/usr/local/bin/otelcol"),
            heap=max(_SMALLEST_HEAP, int(limit * _SHARE_OF_HEAP)) if limit else 80,
        )
