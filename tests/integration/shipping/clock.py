"""Another time for one running process.

Time namespaces do not cover the time of day, and a static Go program loads no library that could replace its clock. But
it asks the vDSO, which is mapped into each process and which a debugger may change: there, the question is put to the
kernel, and a number of seconds is added to the answer. x86-64 only.
"""

from __future__ import annotations

import os
import platform
import re
import signal
import struct
import time
from pathlib import Path

_CODE = bytes.fromhex(
    "b8e4000000"  # mov $228, %eax: clock_gettime
    "0f05"  # syscall
    "85c0"  # test %eax, %eax
    "7515"  # jne to the end
    "83ff01"  # cmp $1, %edi: 0 is CLOCK_REALTIME, 1 is CLOCK_MONOTONIC
    "7710"  # ja to the end
    "89ff"  # mov %edi, %edi
    "488d1508000000"  # lea 8(%rip), %rdx: the two numbers behind the code
    "488b14fa"  # mov (%rdx, %rdi, 8), %rdx
    "480116"  # add %rdx, (%rsi)
    "c3"  # ret
)
_SIZE = len(_CODE) + 16
_MAPPED_WITHIN = 60.0
_VDSO = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) .*\[vdso\]$", re.MULTILINE)
_DYNSYM, _SECTION, _SYMBOL = 11, struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ")


def unavailable() -> str:
    """Why it cannot be done on this machine; empty if it can."""
    if platform.machine() != "x86_64":
        return "the clock of a process can only be changed on x86-64"
    return "" if os.geteuid() == 0 else "the clock of a process can only be changed by root"


def jump(pid: int, *, time_of_day: int, monotonic: int = 0) -> None:
    """From now on, the clocks of this process are off by so many seconds. What waits in the kernel is not woken."""
    os.kill(pid, signal.SIGSTOP)
    try:
        begin, end = _mapped(pid)
        with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
            memory.seek(begin)
            image = memory.read(end - begin)
            room = len(image) - _SIZE
            assert not any(image[room:]) or image[room:].startswith(_CODE), "the vDSO has no room for code"
            entry = _address(image, b"__vdso_clock_gettime")
            memory.seek(begin + room)
            memory.write(_CODE + struct.pack("<qq", time_of_day, monotonic))
            memory.seek(begin + entry)
            memory.write(b"\xe9" + struct.pack("<i", room - entry - 5))
    finally:
        os.kill(pid, signal.SIGCONT)


def _mapped(pid: int) -> tuple[int, int]:
    # Of a program that was started a moment ago the kernel may have mapped nothing yet: whoever starts it hears before.
    deadline = time.monotonic() + _MAPPED_WITHIN
    while not (found := _VDSO.search(Path(f"/proc/{pid}/maps").read_text())):
        assert time.monotonic() < deadline, "no vDSO"
        time.sleep(0.01)
    return int(found[1], 16), int(found[2], 16)


def _address(image: bytes, name: bytes) -> int:
    """Where a function begins; `image` is a 64-bit ELF file."""
    [offset] = struct.unpack_from("<Q", image, 0x28)
    size, count = struct.unpack_from("<HH", image, 0x3A)
    sections = [_SECTION.unpack_from(image, offset + index * size) for index in range(count)]
    _, _, _, _, symbols, length, names, _, _, _ = next(each for each in sections if each[1] == _DYNSYM)
    texts = sections[names][4]
    for place in range(symbols, symbols + length, _SYMBOL.size):
        text, _, _, _, value, _ = _SYMBOL.unpack_from(image, place)
        if image[texts + text :].startswith(name + b"\0"):
            return int(value)
    raise AssertionError(f"the vDSO has no {name!r}")
