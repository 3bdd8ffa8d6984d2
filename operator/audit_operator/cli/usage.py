"""Wrong usage, and the options that several commands share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, Severity
from audit_operator.policy.gates import NEWEST, Version
from audit_operator.policy.lint.served import is_namespace

if TYPE_CHECKING:
    from collections.abc import Iterable


class UsageError(Exception):
    """The command was called in a way that makes no sense; the message says how to call it."""


def add_version(parser: argparse.ArgumentParser) -> None:
    """Add ``--kubernetes-version``."""
    parser.add_argument(
        "--kubernetes-version",
        metavar="1.N",
        type=version,
        default=NEWEST,
        help=f"oldest Kubernetes minor that is to read the policy (default: {NEWEST})",
    )


def add_fail_on(parser: argparse.ArgumentParser) -> None:
    """Add ``--fail-on``."""
    parser.add_argument(
        "--fail-on",
        choices=[*(each.value.lower() for each in Severity), "never"],
        default="error",
        help="exit with 1 if there is a finding of this severity or worse (default: error)",
    )


def version(text: str) -> Version:
    """The minor of ``1.36``, ``v1.36.2`` or ``1.36+``."""
    parsed = Version.parse(text)
    if parsed is None:
        message = f"{text!r} is no Kubernetes version; write one like 1.36"
        raise argparse.ArgumentTypeError(message)
    return parsed


def namespace(text: str) -> str:
    """The name of a namespace, as it stands; the empty one is none."""
    if text and not is_namespace(text):
        message = f"{text!r} can be no namespace: lower-case letters, digits and hyphens, at most 63, none at the ends"
        raise argparse.ArgumentTypeError(message)
    return text


def exit_status(findings: Iterable[Finding], fail_on: str) -> int:
    """1 if a finding is as severe as `fail_on` or worse, else 0."""
    if fail_on == "never":
        return 0
    least = Severity(fail_on.capitalize()).rank
    return int(any(each.severity.rank >= least for each in findings))


def as_line(finding: Finding) -> str:
    """One finding for a person: where, how bad, what, and how to mend it."""
    place = finding.location.file or (str(finding.object) if finding.object else "")
    if finding.location.line:
        place += f":{finding.location.line}"
    if finding.location.file and finding.object:
        place += f": {finding.object}"
    what = f"{finding.path}: {finding.message}" if finding.path else finding.message
    mend = f" ({finding.mend})" if finding.mend else ""
    prefix = f"{place}: " if place else ""
    return f"{prefix}{finding.severity.lower()}: {what}{mend} [{finding.id}]"
