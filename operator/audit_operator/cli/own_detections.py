"""Which detections of our own a command is about: those of files, and those that ship with the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding
from audit_operator.cli.inputs import read_file
from audit_operator.cli.offline import print_findings
from audit_operator.cli.usage import UsageError
from audit_operator.detections.own import OwnDetection, load_detections, preset_detections

if TYPE_CHECKING:
    import argparse

_PRESETS = "presets"


def add_own(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--own", metavar="FILE", action="append", default=[], help="detections of our kind: file, or -")
    parser.add_argument("--presets", action="store_true", help="all detections that ship with the operator")


def own_detections(options: argparse.Namespace) -> list[tuple[str, OwnDetection]]:
    """File and detection of all that is asked for.

    Raises:
        UsageError: a file cannot be read, holds no detections, or two have one name.
    """
    found = [(file, each) for file in options.own for each in _detections(file)]
    if options.presets:
        found += [(_PRESETS, each) for each in preset_detections()]
    names = [each.name for _, each in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"there are two detections called {twice[0]}"
        raise UsageError(message)
    return found


def _detections(file: str) -> list[OwnDetection]:
    loaded = load_detections(read_file(file), file=file)
    print_findings(each for each in loaded if isinstance(each, Finding))
    found = [each for each in loaded if isinstance(each, OwnDetection)]
    if not found:
        message = f"{file} holds no detections"
        raise UsageError(message)
    return found
