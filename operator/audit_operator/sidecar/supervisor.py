"""The loop: see what is wanted, bring the collector to it, keep it running, and let it finish at the end.

The container itself never fails: its state counts for the readiness of the application's pod. So this process goes on
whatever happens to the collector, and has no probes.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field

from audit_operator.sidecar.answers import Answers
from audit_operator.sidecar.collector import Collector
from audit_operator.sidecar.saying import say
from audit_operator.sidecar.wanted import Wanted, asked, clear_out, lay_out, missing, read, write

TYPE_CHECKING = False  # as typing has it; to import that costs half a megabyte
if TYPE_CHECKING:
    from types import FrameType

    from audit_operator.sidecar.places import Places

_TAIL = 500


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds.

    Attributes:
        look: between two looks at what is wanted.
        proof: after which a collector that runs is taken to be able to use its configuration.
        retry: after which a configuration that was refused is tried again: the machine may have been to blame.
        calm: how long nothing more must have been read before the end.
        drain: how long the end may take at most; less than the usual grace period of a pod.
        stop: how long the collector may take to end.
        withdrawal: how long there must be no configuration until what runs is ended. A kubelet may fail to read the
            ConfigMap, or the operator be in the middle of making it anew.
    """

    look: float = 1.0
    proof: float = 10.0
    retry: float = 300.0
    calm: float = 3.0
    drain: float = 20.0
    stop: float = 5.0
    withdrawal: float = 60.0


@dataclass(slots=True)
class Supervisor:
    """Runs until it is told to stop."""

    places: Places
    times: Times = field(default_factory=Times)
    collector: Collector = field(init=False)
    answers: Answers = field(init=False)
    _stopping: bool = False
    _seen: Wanted | None = None
    _try_again_at: float = float("inf")
    _good: Wanted | None = None
    _running: Wanted | None = None
    _failures: int = 0
    _start_at: float = 0.0
    _empty_since: float | None = None
    _said: str = ""

    def __post_init__(self) -> None:
        self.collector = Collector(self.places)
        self.answers = Answers(self.collector)

    def run(self) -> int:
        """Until SIGTERM or SIGINT, and then until everything is sent, or time is up. Always 0."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, _wake)
        try:
            while not self._stopping:
                self.step()
                if select.select([reading], [], [], self.times.look)[0]:
                    os.read(reading, 4096)
            self.finish()
        finally:
            signal.set_wakeup_fd(-1)
            os.close(reading)
            os.close(writing)
        return 0

    def step(self) -> None:
        """Look once, and do what is to be done."""
        try:
            self.answers.want(asked(self.places.config))
            self._look()
            self._keep()
        except OSError as error:
            self._say_once("ERROR", f"not done: {error}")

    def finish(self) -> None:
        """Let the collector read and send what is there, as far as time allows, and end it.

        At SIGTERM a collector reads no more, and what waits in its queues goes with the pod. So it is told only when
        nothing new was read for a while and nothing waits.
        """
        ran = self.collector.runs
        if not ran:
            say("INFO", "ended", sent="nothing: no collector ran")
            return
        deadline, calm_since, accepted, sent = time.monotonic() + self.times.drain, time.monotonic(), -1.0, False
        while self.collector.runs and not sent and time.monotonic() < deadline:
            time.sleep(min(0.25, self.times.calm / 4))
            figures, now = self.collector.figures(), time.monotonic()
            if figures is None or figures.accepted != accepted or figures.waiting:
                calm_since, accepted = now, figures.accepted if figures else -1.0
            sent = now - calm_since >= self.times.calm
        self.collector.stop(self.times.stop)
        say("INFO", "ended", sent="all" if sent else "not all, as far as is known")

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _look(self) -> None:
        wanted = read(self.places.config, self.places.secret)
        if not wanted.config:
            self._miss()
            return
        self._empty_since = None
        if wanted == self._seen and time.monotonic() < self._try_again_at:
            return
        lay_out(wanted.files, self.places.credentials)
        if absent := missing(wanted.config, self.places.credentials):
            # The ConfigMap has come before the Secret: what runs goes on meanwhile.
            self._say_once("INFO", f"waiting for {len(absent)} files of credentials")
            return
        self._seen, self._try_again_at = wanted, float("inf")
        if wanted == self._running:
            return
        candidate = self.places.state / "candidate.yaml"
        write(candidate, wanted.config.encode())
        refused = self.collector.refusal(candidate, wanted.environment)
        candidate.unlink(missing_ok=True)
        if refused:
            self._refuse(refused)
            return
        self._use(wanted)

    def _miss(self) -> None:
        """There is no configuration: not yet, or not any more."""
        if self._seen is None:
            self._say_once("INFO", "waiting for a configuration; has the operator written one?")
            return
        now = time.monotonic()
        if self._empty_since is None:
            self._empty_since = now
        if now - self._empty_since < self.times.withdrawal:
            return
        if self._running is not None:
            say("INFO", "ends the collector: its configuration has been withdrawn")
        # Without waiting for its queues: nobody may be sent anything any more.
        self.collector.stop(self.times.stop)
        self.collector.config.unlink(missing_ok=True)
        clear_out("", self.places.credentials)
        self._seen = self._good = self._running = self._empty_since = None
        self._try_again_at, self._failures, self._start_at, self._said = float("inf"), 0, 0.0, ""

    def _use(self, wanted: Wanted) -> None:
        before, self._running = self._running, wanted
        write(self.collector.config, wanted.config.encode())
        if before is not None and self.collector.runs and before.environment == wanted.environment:
            if self.collector.reload():
                say("INFO", "told the collector of another configuration")
            else:
                say("INFO", "started the collector anew, with another configuration: it was held up")
        else:
            self.collector.start(wanted.environment)
            say("INFO", "started the collector")
        self._failures, self._start_at = 0, 0.0

    def _keep(self) -> None:
        running = self._running
        if running is None:
            return
        now = time.monotonic()
        if self.collector.runs:
            if running != self._good and now - self.collector.started_at >= self.times.proof:
                self._good, self._failures = running, 0
                clear_out(running.config, self.places.credentials)
            return
        if not self._start_at:
            self._failures += 1
            self._start_at = now + min(60.0, 2.0 ** (self._failures - 1))
            say("ERROR", "the collector has ended", status=str(self.collector.exit_status))
            if self._good is not None and running != self._good:
                # It has taken the configuration, and could not work with it.
                self._refuse("the collector ends with it")
                self._running = running = self._good
                write(self.collector.config, running.config.encode())
                self._start_at = now
        if now >= self._start_at:
            self._start_at = 0.0
            self.collector.start(running.environment)

    def _refuse(self, reason: str) -> None:
        self._try_again_at = time.monotonic() + self.times.retry
        kept = "what ran before stays" if self._running else "nothing runs"
        say("ERROR", f"the configuration is refused, {kept}", reason=reason[-_TAIL:])
        with suppress(OSError):  # only a kubelet makes that file
            self.places.message.write_text(f"configuration refused: {reason[-_TAIL:]}\n")

    def _say_once(self, level: str, message: str) -> None:
        if message != self._said:
            self._said = message
            say(level, message)


def _wake(_number: int, _frame: FrameType | None) -> None:
    """A child has ended: the loop looks at once."""
