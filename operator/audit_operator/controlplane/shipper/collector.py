"""One collector on this machine, described by a folder, so that any process can find it, judge it and restart it.

    config.yaml              what it runs with, or is to run with; config.good.yaml is the last one that worked
    table-<digest>.yaml      the decision table of the configuration with that digest
    credentials/             a folder for each sink, and in it one for each content of its Secrets; the key for S3
    process.json             the process that was started last
    ports.json               where it listens
    retired                  is there when it must not be started any more
    keyring.json.gz          keys of pseudonyms, where nobody has told any
    pseudonyms.yaml          the present keys, by namespace
    state/ claims/           offsets and queues; files of sinks of type File
    collector.log

Only one process at a time runs on a folder. Everything here blocks.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.controlplane import os_process
from audit_operator.controlplane.files import exclusive, write_atomically
from audit_operator.controlplane.os_process import ProcessIdentity
from audit_operator.controlplane.ports import free_ports
from audit_operator.controlplane.shipper import telemetry
from audit_operator.plan.collector_files import CONFIG_FILE, Places
from audit_operator.plan.credentials import ACCESS_KEY, sink_name
from audit_operator.shipping.collector.configuration import (
    ARGUMENTS,
    DETECTIONS_VARIABLE,
    ENVIRONMENT,
    FOLDER_VARIABLE,
    HEALTH_VARIABLE,
    IDENTITY,
    METRICS_PORT_VARIABLE,
    WEBHOOK_VARIABLE,
    Endpoints,
    variable,
)
from audit_operator.shipping.collector.counting import DETECT
from audit_operator.shipping.collector.pseudonym_keys import KEYS_FILE
from audit_operator.shipping.exporters import AWS_CREDENTIALS
from audit_operator.shipping.redaction.keyring import RANDOM_BYTES, REGISTER_BYTES, Keyring, KeyringUnusable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from audit_operator.api.findings import ObjectRef

FOLDER = "shipper"
"""Of the collector, in the folder of the API server."""
STOP_GRACE = 10.0

_LOOPBACK = "127.0.0.1"
_CREDENTIALS, _CLAIMS = "credentials", "claims"
KEYRING_FILE = "keyring.json.gz"
_DIGEST = re.compile(rf'"{re.escape(IDENTITY)}", "value": "([0-9a-f]+)"')
_VALIDATION_TIMEOUT = 60.0
_LONGEST_LOG = 16 * 2**20
_LAST_WORDS = 64 * 2**10
_MESSAGE = 500
_PORTS = 4
_SPEAKS_WITHIN, _PAUSE = 5.0, 0.1
"""Seconds after which a collector that was started says how it is, and between two questions until then."""
"""Health, metrics, what a gateway hands on, and what was counted for detections."""


def places_of(audit_log: str, *, claims: bool = True, webhook: bool = False) -> Places:
    """Where a collector finds its files, whichever folder it has: so one configuration is good for many.

    `claims` says whether sinks of type File may be written to, in the folder; `webhook` whether it takes what a gateway
    hands on, instead of reading the log.
    """
    folder = variable(FOLDER_VARIABLE)
    return Places(
        config=folder,
        table="table-{}.yaml",
        credentials=f"{folder}/{_CREDENTIALS}",
        state=f"{folder}/state",
        claims=f"{folder}/{_CLAIMS}" if claims else "",
        audit_log=audit_log,
        webhook=variable(WEBHOOK_VARIABLE) if webhook else "",
        endpoints=Endpoints(
            variable(HEALTH_VARIABLE),
            _LOOPBACK,
            variable(METRICS_PORT_VARIABLE),
            # One that was started by a release without detections knows of no such port; it would end for lack of it.
            variable(f"{DETECTIONS_VARIABLE}:-{_LOOPBACK}:0"),
        ),
    )


def files_of(folder: Path, sink: ObjectRef) -> Path:
    """Where the collector of a folder writes what is for a sink of type File; it need not be there yet."""
    return folder / _CLAIMS / sink_name(sink)


class CollectorGone(Exception):  # noqa: N818  # a state of the control plane
    """The control plane that the collector belongs to was stopped: there is nothing to start any more."""


@dataclass(frozen=True, slots=True)
class _Started:
    """process.json."""

    process: ProcessIdentity
    binary: str
    log_offset: int


class Collector:
    """The collector that a folder describes. Holds no state of its own, so that two of them always agree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / CONFIG_FILE
        self.log = folder / "collector.log"
        self._good = folder / "config.good.yaml"
        self._candidate = folder / "config.candidate.yaml"
        self._started = folder / "process.json"
        self._ports = folder / "ports.json"
        self._retired = folder / "retired"
        self._keyring = folder / KEYRING_FILE
        self._keys = folder / KEYS_FILE
        self._credentials = folder / _CREDENTIALS
        self._lock = folder / "process.lock"

    # How it is set up

    def prepare(self) -> None:
        """Have the folder.

        Raises:
            OSError: there cannot be one.
        """
        self.folder.mkdir(mode=0o700, exist_ok=True)

    @property
    def endpoints(self) -> Endpoints:
        """Where it listens."""
        health, metrics, _, detections = self._all_ports()
        return Endpoints(f"{_LOOPBACK}:{health}", _LOOPBACK, metrics, f"{_LOOPBACK}:{detections}")

    @property
    def webhook(self) -> str:
        """Where it takes what a gateway hands on, if it is configured to."""
        return f"{_LOOPBACK}:{self._all_ports()[2]}"

    def counting_since(self) -> float | None:
        """When it began to count for detections, in seconds since 1970; None if it does not."""
        if DETECT not in self.configured():
            return None
        try:
            return max(self._started.stat().st_mtime, self.config.stat().st_mtime)
        except OSError:
            return None

    def take_ports(self) -> tuple[int, ...]:
        """Choose ports that are free now, for the next start."""
        return self._write_ports(tuple(itertools.islice(free_ports(), _PORTS)))

    def _all_ports(self) -> tuple[int, ...]:
        known = self._known_ports() or self.take_ports()
        if len(known) < _PORTS:  # chosen by a release that had fewer; what runs keeps them
            missing = itertools.islice((port for port in free_ports() if port not in known), _PORTS - len(known))
            known = self._write_ports((*known, *missing))
        return known

    def _write_ports(self, chosen: tuple[int, ...]) -> tuple[int, ...]:
        write_atomically(self._ports, json.dumps(chosen).encode())
        return chosen

    def _known_ports(self) -> tuple[int, ...] | None:
        try:
            health, metrics, *others = json.loads(self._ports.read_bytes())
        except (OSError, ValueError):
            return None
        return int(health), int(metrics), *map(int, others)

    # What it runs with

    def table(self, name: str) -> str:
        """The text of a table; empty if there is none."""
        return _text(self.folder / name)

    def write_table(self, name: str, text: str) -> None:
        """Replace a table at once: a collector that runs reads it anew by itself."""
        write_atomically(self.folder / name, text.encode())

    def write_credentials(self, files: Mapping[str, bytes]) -> None:
        """Have these files in the folder of credentials; others stay, since a configuration may name them."""
        for path, content in files.items():
            file = self._credentials / path
            if _bytes(file) != content:
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_atomically(file, content)

    def forget_credentials(self, *, but: Collection[str] = ()) -> None:
        """Delete what lies in the folder of credentials itself, but for these, or with none of them the whole folder.

        What no configuration names would otherwise be used for a sink that was given no credentials.
        """
        if not but:
            shutil.rmtree(self._credentials, ignore_errors=True)
            return
        for file in self._credentials.glob("*"):
            if file.is_file() and file.name not in but:
                file.unlink(missing_ok=True)

    def write_pseudonym_keys(self, text: str) -> None:
        """Replace the keys of pseudonyms: a collector that runs reads them anew by itself."""
        if _text(self._keys) != text:
            write_atomically(self._keys, text.encode())

    def forget_pseudonym_keys(self) -> None:
        """Delete the present keys, which nothing reads any more; a keyring of its own stays."""
        self._keys.unlink(missing_ok=True)

    def own_pseudonym_keys(self) -> str:
        """As shippers are told them, of a keyring of its own. Made once: with others, everybody would be somebody else.

        Empty where that cannot be read: nothing is made then that would replace it.
        """
        held = _bytes(self._keyring)
        if held is None:
            random = secrets.token_bytes(RANDOM_BYTES + REGISTER_BYTES)
            held = Keyring.begun(datetime.now(UTC), random).encoded()
            write_atomically(self._keyring, held)
        try:
            return Keyring.decoded(held).present.encoded()
        except KeyringUnusable:
            return ""

    def refusal(self, binary: Path, config: str) -> str:
        """What the collector has to say against a configuration; empty if it takes it.

        Raises:
            OSError: the binary cannot be started.
        """
        write_atomically(self._candidate, config.encode())
        try:
            done = subprocess.run(  # noqa: S603  # the collector that we were told to use
                [binary, "validate", f"--config={self._candidate}"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=self._environment(),
                timeout=_VALIDATION_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"it does not say within {_VALIDATION_TIMEOUT:.0f} s whether it takes the configuration"
        finally:
            self._candidate.unlink(missing_ok=True)
        if done.returncode == 0:
            return ""
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        return said[:_MESSAGE] or f"`validate` ends with {done.returncode}"

    def configured(self) -> str:
        """The configuration that it is to run with; empty if there is none."""
        return _text(self.config)

    def configured_digest(self) -> str:
        """What a process says that it runs once it has read the present configuration; empty if there is none."""
        found = _DIGEST.findall(self.configured())
        return found[-1] if found else ""

    def configure(self, text: str) -> None:
        """Write what it is to run with from its next start, or `reload`, on."""
        write_atomically(self.config, text.encode())

    def approve(self) -> None:
        """Keep the present configuration as the one to go back to, and no table and no credentials but its own."""
        text = self.configured()
        if text != _text(self._good):
            write_atomically(self._good, text.encode())
        for table in self.folder.glob("table-*.yaml"):
            if table.name not in text:
                table.unlink(missing_ok=True)
        if KEYS_FILE not in text:
            self.forget_pseudonym_keys()
        for revision in self._credentials.glob("*/*"):
            if f"/{revision.parent.name}/{revision.name}/" not in text:
                shutil.rmtree(revision, ignore_errors=True)

    def go_back(self) -> bool:
        """Make the last configuration that worked the present one; whether there is another one than the present."""
        good = _text(self._good)
        if not good or good == self.configured():
            return False
        self.configure(good)
        return True

    # Its process

    def process(self) -> ProcessIdentity | None:
        """The process that runs now, by whomever it was started; None if there is none."""
        started = self._last_started()
        if started is None:
            return None
        if os_process.is_alive(started.process):
            return started.process
        # Whoever started it may have died before saying so. Only ours has this path among its arguments.
        name = started.binary.rpartition("/")[2]
        return next((each for each, command in os_process.running(name) if self._argument in command), None)

    def runs(self, binary: Path) -> bool:
        """Whether what runs was started from this binary."""
        started = self._last_started()
        return started is not None and started.binary == str(binary) and self.process() is not None

    def start(self, binary: Path) -> ProcessIdentity:
        """End what runs, and start it; does not wait until it is ready.

        Raises:
            CollectorGone: the control plane was stopped.
            OSError: the binary cannot be started.
        """
        with exclusive(self._lock):
            if self._retired.exists() or not self.folder.exists():
                raise CollectorGone(f"the control plane of {self.folder} was stopped")
            self._end_all(STOP_GRACE)
            offset = self._begin_log()
            for folder in ("state", "claims"):
                (self.folder / folder).mkdir(mode=0o700, exist_ok=True)
            # Said before it is true: a process that nobody has noted down is looked for under this name.
            self._note(_Started(ProcessIdentity(0, 0), str(binary), offset))
            process = os_process.spawn([binary, self._argument, *ARGUMENTS], self.log, self._environment())
            self._note(_Started(process, str(binary), offset))
            return process

    def _environment(self) -> dict[str, str]:
        endpoints = self.endpoints
        return {
            **ENVIRONMENT,
            FOLDER_VARIABLE: str(self.folder),
            HEALTH_VARIABLE: endpoints.health,
            METRICS_PORT_VARIABLE: str(endpoints.metrics_port),
            WEBHOOK_VARIABLE: self.webhook,
            DETECTIONS_VARIABLE: endpoints.detections,
            AWS_CREDENTIALS: str(self._credentials / ACCESS_KEY),
        }

    def reload(self) -> None:
        """Let it read its configuration anew; it ends if it cannot use it.

        Raises:
            CollectorGone, OSError: as `start` does, for one that is started anew since it would lose what it holds.
        """
        started = self._last_started()
        if started is not None and self._is_held_up():
            self.start(Path(started.binary))
        elif (process := self.process()) is not None and (descriptor := os_process.watch(process)) is not None:
            try:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, signal.SIGHUP)
            finally:
                os.close(descriptor)

    def stop(self, grace: float = STOP_GRACE) -> None:
        """End what runs. It may be started again, and goes on where it was."""
        if self.folder.exists():
            with exclusive(self._lock):
                self._end_all(grace)

    def retire(self) -> None:
        """End what runs, and let nobody start it again."""
        if self.folder.exists():
            self._retired.touch()
            self.stop()

    def last_words(self) -> str:
        """Why it has ended, in its own words; not from its log, in which stores may have put theirs."""
        started = self._last_started()
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(started.log_offset if started else 0, size - _LAST_WORDS))
                lines = file.read().decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        plain = [line for line in lines if not line.startswith("{")]
        telling = next((line for line in plain if line.startswith(("Error:", "panic:"))), "")
        return (telling or (plain or [""])[-1])[:_MESSAGE]

    # Inside

    @property
    def _argument(self) -> str:
        return f"--config={self.config}"

    def _note(self, started: _Started) -> None:
        write_atomically(self._started, json.dumps(asdict(started)).encode())

    def _last_started(self) -> _Started | None:
        try:
            document = json.loads(self._started.read_bytes())
        except OSError:
            return None
        return _Started(ProcessIdentity(**document["process"]), document["binary"], document["log_offset"])

    def _begin_log(self) -> int:
        """Where the log of the next process begins; what is long is put aside, over what was put aside before."""
        if not self.log.exists():
            return 0
        size = self.log.stat().st_size
        if size <= _LONGEST_LOG:
            return size
        shutil.move(self.log, self.log.with_suffix(".log.1"))
        return 0

    def _end_all(self, grace: float) -> None:
        while (process := self.process()) is not None:
            os_process.end(process, 0.0 if self._is_held_up() else grace)

    def _is_held_up(self) -> bool:
        """Whether an orderly end is none: it is held up, or does not say, though it has had the time."""
        while (process := self.process()) is not None:
            try:
                return telemetry.read(self.endpoints).held_up
            except telemetry.NoAnswer:
                if os_process.age(process) >= _SPEAKS_WITHIN:
                    return True
                time.sleep(_PAUSE)
        return False


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
