"""Which policy a command is about: one in a file, or what our objects amount to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.cli.offline import compile_objects, print_findings
from audit_operator.cli.policy_file import read_policy
from audit_operator.cli.usage import UsageError

if TYPE_CHECKING:
    import argparse

    from audit_operator.api.findings import Finding
    from audit_operator.cli.offline import Compiled
    from audit_operator.policy.model import Policy


def add_policy_source(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which policy it is: a file, or our objects."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--policy", metavar="FILE", help="an audit.k8s.io/v1 Policy; - for standard input")
    source.add_argument(
        "-f",
        "--filename",
        metavar="PATH",
        action="append",
        help="our objects: file, folder, or - (default: the cluster's)",
    )


@dataclass(frozen=True, slots=True)
class AskedPolicy:
    """The policy, and what is wrong with objects that could not be read: it was made without them."""

    policy: Policy
    unreadable: tuple[Finding, ...] = ()


def asked_policy(file: str | None, paths: list[str] | None, options: argparse.Namespace) -> AskedPolicy:
    """The policy of a file; else that of the objects in `paths`; else that of the cluster's.

    Where API servers are only observed, it is the one that they were given.

    Raises:
        UsageError: something cannot be read, or nobody has said what those API servers were given.
    """
    if file:
        return AskedPolicy(read_policy(file, options.kubernetes_version))
    compiled = compile_objects(paths, options)
    return AskedPolicy(policy_of(compiled), compiled.unreadable)


def policy_of(compiled: Compiled) -> Policy:
    """The policy that objects amount to; what is wrong with them is printed.

    Raises:
        UsageError: nobody has said what API servers were given that are only observed.
    """
    print_findings(compiled.findings)
    if compiled.policy is None:
        print_findings(compiled.given.faults if compiled.given else ())
        message = "those API servers are only observed, and their policy is not known here; pass it with --policy"
        raise UsageError(message)
    return compiled.policy
