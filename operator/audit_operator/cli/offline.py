"""Planning over files or a cluster: what `compile`, `coverage` and `diff` have in common."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from audit_operator.api.control_plane import AuditControlPlane, Precision
from audit_operator.api.parsing import parse_object
from audit_operator.cli.from_cluster import add_connection, read_cluster
from audit_operator.cli.inputs import read_facts
from audit_operator.cli.usage import UsageError, as_line
from audit_operator.plan import plan

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from audit_operator.api.findings import Finding
    from audit_operator.plan.compiled import CompiledPolicy
    from audit_operator.plan.given import GivenPolicy
    from audit_operator.plan.planning import Plan
    from audit_operator.plan.snapshot import Snapshot
    from audit_operator.policy.model import Policy


@dataclass(frozen=True, slots=True)
class Compiled:
    """The policy that files amount to, and what is wrong with them.

    `given` is the policy that counts in its place where the API servers are only observed. `unreadable` are those of
    the findings that are about objects which could not be read, so that all the rest is about less than was asked.
    """

    result: CompiledPolicy
    given: GivenPolicy | None
    plane: AuditControlPlane
    snapshot: Snapshot
    planned: Plan
    findings: tuple[Finding, ...]
    unreadable: tuple[Finding, ...]

    @property
    def policy(self) -> Policy | None:
        """The policy that counts; None where nobody has said what API servers run that are only observed."""
        return self.result.policy if self.given is None else self.given.policy


def add_compilation(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how files are compiled."""
    parser.add_argument(
        "--precision",
        choices=[each.value for each in Precision],
        help="how closely to follow each namespace (default: what the AuditControlPlane says, else Exact)",
    )
    parser.add_argument("--control-plane", metavar="NAME", help="which AuditControlPlane, where there are several")
    add_connection(parser)


def compile_objects(paths: Iterable[str] | None, options: argparse.Namespace) -> Compiled:
    """Compile the objects in files, or else of a cluster, as the operator would.

    Raises:
        UsageError: something cannot be read, or there are several control planes and none is chosen.
    """
    facts = read_facts(paths) if paths else read_cluster(options)
    snapshot = with_control_plane(facts.snapshot)
    planes = tuple(_with_options(each, options) for each in snapshot.control_planes)
    snapshot = replace(snapshot, control_planes=planes)
    planned = plan(snapshot)
    name = _chosen(options.control_plane, sorted(planned.compiled), "files" if paths else "cluster")
    compiled = planned.compiled[name]
    given = planned.given.get(name)
    findings = [
        *facts.findings,
        *(replace(each, object=each.object or ref) for ref, found in planned.findings.items() for each in found),
        *(compiled.findings() if given is None else given.notes),
    ]
    plane = next(each for each in planes if each.metadata.name == name)
    return Compiled(compiled, given, plane, snapshot, planned, tuple(findings), facts.unreadable)


def with_control_plane(snapshot: Snapshot) -> Snapshot:
    """The same with a control plane that everything belongs to, where there is none."""
    return snapshot if snapshot.control_planes else replace(snapshot, control_planes=(_control_plane("default"),))


def print_findings(findings: Iterable[Finding]) -> None:
    """Findings go to standard error, so that standard output holds the result alone."""
    for finding in findings:
        print(as_line(finding), file=sys.stderr)


def _chosen(wanted: str | None, names: list[str], source: str) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return wanted
    verb = "have" if source == "files" else "has"
    why = f"the {source} {verb} " + ("several control planes" if wanted is None else f"no control plane {wanted!r}")
    message = f"{why}: --control-plane must be one of: {', '.join(names)}"
    raise UsageError(message)


def _control_plane(name: str) -> AuditControlPlane:
    parsed = parse_object(
        {
            "apiVersion": "audit-operator.dev/v1alpha1",
            "kind": "AuditControlPlane",
            "metadata": {"name": name},
            "spec": {"default": True, "driver": "Process"},
        }
    )
    if not isinstance(parsed, AuditControlPlane):
        raise TypeError(parsed)
    return parsed


def _with_options(plane: AuditControlPlane, options: argparse.Namespace) -> AuditControlPlane:
    changed: dict[str, object] = {"kubernetes_version": str(options.kubernetes_version)}
    if options.precision:
        changed["precision"] = Precision(options.precision)
    return plane.model_copy(update={"spec": plane.spec.model_copy(update=changed)})
