"""Every setting of the operator, read from the environment once.

Settings say how this process runs; what is recorded, and where, is said in objects.
"""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PREFIX = "AUDIT_OPERATOR_"


class SettingsError(Exception):
    """Some settings cannot be used; the message names each with its value."""


def _identity() -> str:
    return f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True)
class Settings:
    """How this process runs. Each field is read from ``AUDIT_OPERATOR_<FIELD>``.

    Attributes:
        kubeconfig: file with address and credentials; None means the pod's service account.
        context: context in the kubeconfig; empty means its current one.
        namespace: where the operator's Lease lives.
        lease: name of the Lease by which replicas agree on one leader.
        identity: of this replica, unique.
        listen_host, listen_port: where /livez, /readyz and /metrics are served; port 0 takes any free one.
        resync_seconds: time between two complete lists of everything; what a watch has missed is found then.
        stale_seconds: age of the last complete list at which the process counts as stuck.
        quiet_seconds: how long facts must be unchanged before they are acted on.
        debounce_seconds: how long a change may wait at most for others to follow.
        observe_seconds: time between two looks at the API servers.
        statuses_per_second: status writes, on average.
        lease_seconds: how long other replicas wait for a silent leader.
        process_folder: folder of the API server that the Process driver runs; None where there is none.
        log_level: of the standard library's logging.
    """

    kubeconfig: Path | None = None
    context: str = ""
    namespace: str = "audit-operator"
    lease: str = "audit-operator"
    identity: str = field(default_factory=_identity)
    listen_host: str = "0.0.0.0"  # noqa: S104 - probes and scrapes come from outside the pod
    listen_port: int = 8080
    resync_seconds: float = 300.0
    stale_seconds: float = 900.0
    quiet_seconds: float = 0.25
    debounce_seconds: float = 2.0
    observe_seconds: float = 5.0
    statuses_per_second: float = 200.0
    lease_seconds: int = 15
    process_folder: Path | None = None
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the environment.

        Raises:
            SettingsError: a value cannot be used, or a variable with our prefix is none of ours.
        """
        given = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in (os.environ if environment is None else environment).items()
            if name.startswith(PREFIX)
        }
        given.pop("cache", None)  # where binaries are kept: the asset module's
        known = {each.name: each.type for each in fields(cls)}
        wrong = [f"{PREFIX}{name.upper()} is no setting" for name in given.keys() - known.keys()]
        values: dict[str, Any] = {}
        for name, text in given.items():
            if name in known and text:
                try:
                    values[name] = _READERS[str(known[name])](text)
                except ValueError:
                    wrong.append(f"{PREFIX}{name.upper()}={text!r} is no {known[name]}")
        if wrong:
            raise SettingsError("; ".join(sorted(wrong)))
        return cls(**values)


_READERS: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "Path | None": Path,
}
