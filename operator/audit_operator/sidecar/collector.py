"""The collector as a child of this process: judged before it is trusted, started, told, and ended in order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field

from audit_operator.sidecar.counted import is_held_up

TYPE_CHECKING = False  # as typing has it; to import that costs half a megabyte
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from audit_operator.sidecar.places import Places

# The operator says the same in shipping.collector.configuration; a test compares them.
ARGUMENTS = ("--feature-gates=stanza.synchronousLogEmitter",)
# As shipping.application.configuration says.
COLLECTS_GARBAGE_AT = "40"
PROCESSORS = "1"
HEALTH_VARIABLE = "AUDIT_OPERATOR_COLLECTOR_HEALTH"
METRICS_PORT_VARIABLE = "AUDIT_OPERATOR_COLLECTOR_METRICS_PORT"

HOST = "127.0.0.1"
_PORTS = range(19000, 20000)
"""Not where connections begin, nor where applications usually listen: they share their ports with us."""
_VALIDATION_TIMEOUT = 60.0
_KILL_TIMEOUT = 10.0
_SAID = 2000
_VALIDATION_HEAP = "24MiB"
_ANSWER_TIMEOUT = 2.0
_PAUSE = 0.1
_PASSED_ON = (
    "PATH",
    "LANG",
    "AUDIT_SHIPPER_POD",
    "AUDIT_SHIPPER_POD_UID",
    "AUDIT_SHIPPER_NAMESPACE",
    "AUDIT_SHIPPER_NODE",
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What the collector has counted."""

    accepted: float
    waiting: float


@dataclass(slots=True)
class Collector:
    """At most one process at a time.

    Attributes:
        patience: seconds after its start in which a process need not say yet what it has counted.
    """

    places: Places
    patience: float = 5.0
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    started_at: float = 0.0
    _process: subprocess.Popen[bytes] | None = None
    _port: int = 0

    @property
    def config(self) -> Path:
        """The file that it runs with."""
        return self.places.state / "config.yaml"

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """How the last one ended; negative is the number of a signal. None where there was none, or it runs."""
        return self._process.poll() if self._process is not None else None

    def refusal(self, candidate: Path, environment: Mapping[str, str]) -> str:
        """What the collector has to say against a configuration; empty if it takes it."""
        # Beside the one that runs: both together must stay below the container's limit.
        settings = {**self._settings(environment, 0, 0), "GOMEMLIMIT": _VALIDATION_HEAP, "GOGC": "20"}
        command = [str(self.places.collector), "validate", f"--config={candidate}", *ARGUMENTS]
        try:
            done = subprocess.run(  # noqa: S603 - the collector in our image
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=settings,
                timeout=_VALIDATION_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"the collector does not judge it: {error}"
        if done.returncode == 0:
            return ""
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        return said[-_SAID:] or f"`validate` ends with {done.returncode}"

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it with the file `config`. Raises OSError."""
        self.stop(_KILL_TIMEOUT)
        self.environment, self._port = environment, _free_port()
        settings = self._settings(environment, _free_port(), self._port)
        command = [str(self.places.collector), f"--config={self.config}", *ARGUMENTS]
        self._process = subprocess.Popen(  # noqa: S603 - as above
            command, stdin=subprocess.DEVNULL, env=settings
        )
        self.started_at = time.monotonic()

    def reload(self) -> bool:
        """Let it read its configuration anew; it ends if it cannot use it.

        Whether it is still the same process: one that would lose what it holds is started anew. Raises OSError.
        """
        if self._would_lose():
            self.start(self.environment)
            return False
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGHUP)
        self.started_at = time.monotonic()
        return True

    def stop(self, grace: float) -> None:
        """End it: in order, unless it would lose what it holds, or by force after a while."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        if self._would_lose():
            process.kill()
        else:
            process.terminate()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _would_lose(self) -> bool:
        """Whether an orderly end is none: it is held up, or does not say, though it has had the time."""
        while (lines := self.metrics()) is None:
            if not self.runs:
                return False
            if time.monotonic() - self.started_at >= self.patience:
                return True
            time.sleep(_PAUSE)
        return is_held_up(lines)

    def figures(self) -> Figures | None:
        """What it has counted so far; None while it does not say."""
        lines = self.metrics()
        if lines is None:
            return None
        accepted = _total(lines, "otelcol_receiver_accepted_log_records")
        return Figures(accepted, _total(lines, "otelcol_exporter_queue_size"))

    def metrics(self) -> list[str] | None:
        """Its metrics, line by line; None while it does not say."""
        if not self.runs:
            return None
        try:
            with socket.create_connection((HOST, self._port), timeout=_ANSWER_TIMEOUT) as connection:
                connection.sendall(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
                text = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        except OSError:
            return None
        if b" 200 " not in text.partition(b"\r\n")[0]:
            return None
        return text.decode("utf-8", "replace").splitlines()

    def _settings(self, environment: Mapping[str, str], health: int, metrics: int) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return {
            **kept,
            **environment,
            "GOGC": COLLECTS_GARBAGE_AT,
            "GOMAXPROCS": PROCESSORS,
            "GOMEMLIMIT": f"{self.places.heap}MiB",
            HEALTH_VARIABLE: f"{HOST}:{health}",
            METRICS_PORT_VARIABLE: str(metrics),
        }


def _total(lines: list[str], name: str) -> float:
    """The sum over all labels of a metric; newer collectors add ``_total`` to the names of counters."""
    total = 0.0
    for line in lines:
        if line.startswith((f"{name}{{", f"{name}_total{{", f"{name} ", f"{name}_total ")):
            with suppress(ValueError):
                total += float(line.rpartition(" ")[2])
    return total


def _free_port() -> int:
    first = int.from_bytes(os.urandom(2))
    for port in (_PORTS[(first + offset) % len(_PORTS)] for offset in range(len(_PORTS))):
        with socket.socket() as trial, suppress(OSError):
            trial.bind((HOST, port))
            return port
    return 0
