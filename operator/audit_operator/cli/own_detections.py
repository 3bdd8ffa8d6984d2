"""Which detections of our own a command is about: those of files, and those that ship with the operator."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding
from audit_operator.cli.inputs import read_file
from audit_operator.cli.offline import print_findings
from audit_operator.cli.usage import UsageError
from audit_operator.coverage.callers import SAMPLE_NAMESPACE
from audit_operator.detections.own import OwnDetection, in_namespace, load_detections, preset_detections, resolve
from audit_operator.detections.rule import DetectionRule, Pack
from audit_operator.plan.detection_answers import answer, refused_answer, why, within_bounds
from audit_operator.plan.detection_questions import questions

if TYPE_CHECKING:
    import argparse

    from audit_operator.api.findings import ObjectRef
    from audit_operator.cli.offline import Compiled
    from audit_operator.detections.report import Judged
    from audit_operator.plan.detection_answers import Answer
    from audit_operator.plan.detection_questions import Question
    from audit_operator.plan.snapshot import Snapshot

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


def detections_of(snapshot: Snapshot) -> list[tuple[str, OwnDetection]]:
    """Object and detection of all policies; of an AuditPolicy, for its namespace."""
    found: list[tuple[str, OwnDetection]] = []
    for policy in snapshot.policies():
        own = [replace(resolve(each), name=f"{policy.ref}: {each.name}") for each in policy.spec.detections]
        namespace = policy.metadata.namespace
        found += [(str(policy.ref), in_namespace(each, namespace) if namespace else each) for each in own]
    return found


def judged_objects(compiled: Compiled) -> list[Judged]:
    """What status says of the detections of policies of a control plane, each with an event or a change."""
    planned, plane = compiled.planned, compiled.plane.metadata.name
    found: list[Judged] = []
    for ref, asked in questions(compiled.snapshot, planned).items():
        put = [(each.name, each.question) for each in asked if each.question is not None]
        if planned.assigned[ref] == plane:
            answers = within_bounds([each for _, each in put], answer, refused_answer())
            found += [_named(given, each, ref, name) for (name, each), given in zip(put, answers, strict=True) if given]
    return found


def _named(given: Answer, question: Question, ref: ObjectRef, name: str) -> Judged:
    """The answer about a detection of one object: equal ones share it, and it names a namespace that is none."""
    judgement = given.judgement
    rule = DetectionRule(Pack.OWN, f"{ref}: {name}", str(ref), question.condition)
    reason = "; ".join(filter(None, [why(judgement, in_namespace=bool(question.namespace)), given.forbidden]))
    witness = judgement.witness
    if witness is not None:
        event = json.loads(json.dumps(witness.event).replace(SAMPLE_NAMESPACE, ref.namespace))
        witness = replace(witness, event=event)
    return replace(judgement, rule=rule, reason=reason, witness=witness), given.enabling


def _detections(file: str) -> list[OwnDetection]:
    loaded = load_detections(read_file(file), file=file)
    print_findings(each for each in loaded if isinstance(each, Finding))
    found = [each for each in loaded if isinstance(each, OwnDetection)]
    if not found:
        message = f"{file} holds no detections"
        raise UsageError(message)
    return found
