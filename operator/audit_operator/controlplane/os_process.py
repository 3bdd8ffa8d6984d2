"""Processes of this machine by an identity that outlives their parent: pid and start time.

A pid alone is reused, and a process that an earlier operator has started is nobody's child here, so that `subprocess`
cannot help. Signals go through a pidfd: it stays bound to the process it was opened for. Linux only.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PROC = Path("/proc")
_KILL_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process, for as long as the machine is up; `start_time` is in clock ticks since boot (proc(5), stat)."""

    pid: int
    start_time: int


def identify(pid: int) -> ProcessIdentity | None:
    """The process that has this pid now; None if there is none or if it has ended and was not waited for yet."""
    try:
        stat = (PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The second field is the program's name in brackets, which may itself hold blanks and brackets.
    state, *fields = stat.rpartition(b")")[2].split()
    return None if state in {b"Z", b"X"} else ProcessIdentity(pid, int(fields[18]))


def is_alive(process: ProcessIdentity) -> bool:
    """Whether exactly this process still runs."""
    alive = identify(process.pid) == process
    if not alive:
        _reap(process.pid)
    return alive


def arguments(process: ProcessIdentity) -> tuple[str, ...]:
    """The command line that the process was started with; empty if it has ended."""
    command = _command_line(process.pid)
    return command if is_alive(process) else ()


def age(process: ProcessIdentity) -> float:
    """Seconds since the process was started, to a hundredth."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - process.start_time / os.sysconf("SC_CLK_TCK")


def find_by_argument(program: Path, argument: str) -> Iterator[ProcessIdentity]:
    """Processes that run `program` with exactly this argument."""
    for process, command in running(program.name):
        if command[0] == str(program) and argument in command:
            yield process


def running(name: str) -> Iterator[tuple[ProcessIdentity, tuple[str, ...]]]:
    """Processes whose program has this file name, with their command lines.

    Of all others, nothing but the command line is read: this is asked every few seconds on machines with many.
    """
    for entry in PROC.iterdir():
        if entry.name.isdigit() and _is_named(_command_line(int(entry.name)), name):
            process = identify(int(entry.name))
            command = arguments(process) if process else ()
            if process and _is_named(command, name):
                yield process, command


def _is_named(command: tuple[str, ...], name: str) -> bool:
    return bool(command) and Path(command[0]).name == name


def _command_line(pid: int) -> tuple[str, ...]:
    """Empty if there is no such process."""
    try:
        content = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(os.fsdecode(each) for each in content.split(b"\0")[:-1])


def spawn(
    command: Sequence[str | Path], log: Path, environment: Mapping[str, str] = MappingProxyType({})
) -> ProcessIdentity:
    """Start a program in a session of its own, with nothing inherited; its output is appended to `log`.

    Raises:
        OSError: the program cannot be executed.
    """
    program = os.fspath(command[0])
    pid = os.posix_spawn(
        program,
        [os.fspath(each) for each in command],
        dict(environment),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.fspath(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGPIPE],  # Python ignores it, and ignoring is inherited
    )
    # It is our child: as long as nobody waits for it, its pid cannot be another process's, even if it has ended by now.
    return identify(pid) or ProcessIdentity(pid, 0)


async def woken(wake: asyncio.Event, process: ProcessIdentity | None, delay: float) -> None:
    """Wait until `wake` is set, which the end of the process does too, or until `delay` seconds are over."""
    loop = asyncio.get_running_loop()
    descriptor = watch(process) if process else None
    if descriptor is not None:
        loop.add_reader(descriptor, wake.set)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, delay)):
                await wake.wait()
    finally:
        if descriptor is not None:
            loop.remove_reader(descriptor)
            os.close(descriptor)


def end(process: ProcessIdentity, grace: float) -> None:
    """End a process: SIGTERM, SIGKILL after `grace` seconds (at once if 0); returns when it has ended. Blocks.

    Raises:
        TimeoutError: it does not even end by SIGKILL, since it hangs in the kernel.
    """
    descriptor = watch(process)
    if descriptor is None:
        return
    try:
        if grace > 0 and _signalled(descriptor, signal.SIGTERM, grace):
            return
        if not _signalled(descriptor, signal.SIGKILL, _KILL_TIMEOUT):
            raise TimeoutError(f"process {process.pid} has not ended {_KILL_TIMEOUT:.0f} s after SIGKILL")
    finally:
        os.close(descriptor)
        _reap(process.pid)


def watch(process: ProcessIdentity) -> int | None:
    """A descriptor that becomes readable when the process ends, to be closed by the caller; None if it has ended."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if is_alive(process):  # asked after opening: from here on the descriptor cannot mean another process
        return descriptor
    os.close(descriptor)
    return None


def _signalled(descriptor: int, number: signal.Signals, seconds: float) -> bool:
    """Send a signal; whether the process has ended in time."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, number)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _reap(pid: int) -> None:
    """Take note of the end of a child, so that it does not stay as a zombie; nothing to do for other processes."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
