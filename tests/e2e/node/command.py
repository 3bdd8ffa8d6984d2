"""Running a program: how every provider runs commands on its node, so that tests see no difference."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

NODE_ENVIRONMENT = {"HOME": "/root", "KUBECONFIG": "/etc/kubernetes/admin.conf"}
"""What every command on a node finds set, so that `kubectl` works there."""


class CommandFailed(Exception):  # noqa: N818  # names what has happened
    """A command ended with a status other than 0; the message is what it said."""


def run(argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """`subprocess.run`, which captures text and raises nothing unless the options say otherwise."""
    options.setdefault("capture_output", not options.keys() & {"stdout", "stderr"})
    options.setdefault("text", True)
    return subprocess.run(argv, check=options.pop("check", False), **options)


def output(argv: Sequence[str], **options: Any) -> str:
    """What a command prints that must not fail.

    Raises:
        CommandFailed: it failed.
    """
    answer = run(argv, **options)
    if answer.returncode:
        raise CommandFailed(f"{' '.join(argv)} ended with status {answer.returncode}: {answer.stdout}{answer.stderr}")
    return answer.stdout
