"""Finds the command and runs it.

Exit status: 0 fine, 1 findings at or above ``--fail-on``, objects that could not be read, or a demo that did not show
what it promised, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from audit_operator import __version__
from audit_operator.cli import (
    agent,
    compliance,
    coverage,
    crds,
    demo,
    detections,
    diff,
    erase,
    explain,
    gateway,
    import_policy,
    incident,
    lint,
    logs,
    permissions,
    pseudonyms,
    query,
    reader,
    redact,
    replay,
    report,
    seal,
    shipper,
    sinks,
    tail,
    test,
    verify,
)
from audit_operator.cli import compile as compile_command
from audit_operator.cli import rollout as rollout_command
from audit_operator.cli import run as run_command
from audit_operator.cli.usage import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = (
    compile_command,
    import_policy,
    lint,
    explain,
    test,
    coverage,
    compliance,
    report,
    detections,
    diff,
    replay,
    redact,
    logs,
    crds,
    shipper,
    gateway,
    sinks,
    query,
    tail,
    incident,
    reader,
    seal,
    verify,
    erase,
    pseudonyms,
    permissions,
    rollout_command,
    run_command,
    agent,
    demo,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = command_line(_program())
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
    except UsageError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader has gone, as with `| head`; nothing may be flushed into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


@cache
def command_line(program: str) -> argparse.ArgumentParser:
    """Made once: it takes as long as many a command, which matters to whoever runs several in one process."""
    parser: argparse.ArgumentParser = _Parser(
        prog=program,
        description="Compile, check and explain Kubernetes audit policies.",
        epilog="Every command has --help with examples.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.register(commands)
    return parser


class _Parser(argparse.ArgumentParser):
    """Says of an argument that it does not know how to use this very command, not how to use the program."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The same; whatever is left over is an error here already, not in the parser above."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


def _program() -> str:
    name = os.path.basename(sys.argv[0])  # noqa: PTH119 - argv holds a string
    return "kubectl audit-policy" if name.startswith("kubectl-") else "audit-operator"
