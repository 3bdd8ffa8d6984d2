"""What a container said before it ended, read where the kubelet keeps it: there is no API to ask while it is down."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from textwrap import dedent
from typing import TYPE_CHECKING

from audit_operator.controlplane import klog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TAIL = 64 * 1024
_POD_FOLDERS = "kube-system_kube-apiserver-*"
_CONTAINER = "kube-apiserver"
_SHOWN = 800

# One line of the CRI log format: time, stream, F for the end of a line or P for a part of a long one, content.
_LINE = re.compile(r"^\S+ (?:stdout|stderr) ([FP])(?::\S*)? (.*)$")
# One line of klog's text format, which components write unless told otherwise: severity and date, time, thread, source.
_KLOG = re.compile(r"^[IWEF]\d{4} [\d:.]+\s+\d+ [^\s:]+:\d+\] (.*)$")
# A value of several lines stands in lines of its own there, each after a tab (klog's internal/serialize).
_BLOCK = re.compile(r'("command failed" err=)<\n((?:\t.*\n)+) >$', re.MULTILINE)
_ERROR_VALUE = re.compile(r'^"command failed" err=(".*")$')


def last_words(pods: Path, since: float) -> str:
    """Why the API server ended, from the newest log of its container; empty if that was not written to since then.

    `since` is in seconds since the epoch, and `pods` the kubelet's folder of pod logs, where it keeps a file for each
    restart of a container, but removes those of a pod whose manifest has changed, so that there is often just one.
    """
    newest = max(_logs(pods), key=lambda each: each[0], default=None)
    if newest is None or newest[0] < since:
        return ""
    try:
        with newest[1].open("rb") as file:
            file.seek(max(0, newest[1].stat().st_size - _TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    said = _BLOCK.sub(lambda found: found[1] + json.dumps(dedent(found[2]).strip()), "\n".join(_contents(text)))
    return klog.reason_for_end(klog.entries("\n".join(map(_words, said.splitlines()))))[:_SHOWN]


def _logs(pods: Path) -> list[tuple[float, Path]]:
    found = []
    for folder in pods.glob(_POD_FOLDERS):
        for path in (folder / _CONTAINER).glob("*.log"):
            with suppress(OSError):
                found.append((path.stat().st_mtime, path))
    return found


def _contents(text: str) -> Iterator[str]:
    """What the container wrote, line by line."""
    begun = ""
    for line in text.splitlines():
        container = _LINE.match(line)
        if container is None:
            yield line
        elif container[1] == "P":
            begun += container[2]
        else:
            yield begun + container[2]
            begun = ""
    if begun:
        yield begun


def _words(line: str) -> str:
    """The component's own words in a line; its final error in the shape that `klog` knows."""
    text = _KLOG.match(line)
    if text is None:
        return line
    failed = _ERROR_VALUE.match(text[1])
    if failed is not None:
        with suppress(ValueError):
            return json.dumps({"msg": klog.COMMAND_FAILED, "err": json.loads(failed[1])})
    return text[1]
