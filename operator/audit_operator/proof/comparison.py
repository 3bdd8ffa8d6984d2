"""What was read back, held against what was predicted.

An Audit-ID is chosen by whoever sends a request, and whoever reads records can see ours. So a record counts as ours
only if it is of our request; another one with our id is somebody else's, and is said.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from audit_operator.api.audit import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.proof.prediction import Prediction
    from audit_operator.proof.requests import Marks


_LONGEST = 512


class Outcome(StrEnum):
    """What is known of one request in one sink."""

    VERIFIED = "Verified"
    CONTRADICTED = "Contradicted"
    MISSING = "Missing"
    PENDING = "Pending"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Compared:
    """Outcome of a comparison.

    Attributes:
        field: in what the two differ: ``level``, ``stages``, ``namespace``, ``redaction``; empty where they do not.
        predicted, found: both values of it, free of anything that was to be taken out.
        strangers: records of somebody else that have our Audit-ID.
    """

    outcome: Outcome
    field: str = ""
    predicted: str = ""
    found: str = ""
    strangers: int = 0


def compare(
    prediction: Prediction, marks: Marks, texts: Iterable[str], *, over: bool = False, witnessed: bool = False
) -> Compared:
    """Hold the records of an Audit-ID in one sink against the prediction.

    Args:
        prediction: of the request with these `marks`.
        marks: of the request.
        texts: every record, as JSON.
        over: whether there was time enough: what is not there now is missing.
        witnessed: whether another request, sent later the same way, was found there. Where nothing is to be found,
            silence proves nothing without.
    """
    events = [_event(text) for text in texts]
    ours = [event for event in events if event is not None and _is_ours(event, prediction)]
    strangers = len(events) - len(ours)
    for field, predicted, found in _differences(prediction, marks, ours):
        if predicted != found:
            return Compared(Outcome.CONTRADICTED, field, predicted, found, strangers)
    missing = prediction.levels.keys() - {_stage(event) for event in ours}
    if missing:
        outcome = Outcome.MISSING if over else Outcome.PENDING
        return Compared(outcome, "stages", _named(prediction.levels), _named(map(_stage, ours)), strangers)
    if not prediction.levels and not (over and witnessed):
        return Compared(Outcome.UNKNOWN if over else Outcome.PENDING, strangers=strangers)
    return Compared(Outcome.VERIFIED, strangers=strangers)


def _differences(prediction: Prediction, marks: Marks, events: list[dict[str, Any]]) -> Iterable[tuple[str, str, str]]:
    for event in events:
        stage = _stage(event)
        wanted = prediction.levels.get(stage) if isinstance(stage, Stage) else None
        if wanted is None:
            yield "stages", _named(prediction.levels), str(stage)
        yield "level", f"{wanted} at {stage}", f"{_level(event)} at {stage}"
        yield "namespace", prediction.namespace, _namespace(event)
        if marks.canary in json.dumps(event):
            yield "redaction", "taken out", "in clear"
        yield "redaction", prediction.uri, str(event.get("requestURI"))[:_LONGEST]


def _event(text: str) -> dict[str, Any] | None:
    try:
        event = json.loads(text)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _is_ours(event: dict[str, Any], prediction: Prediction) -> bool:
    path = str(event.get("requestURI", "")).partition("?")[0]
    user = event.get("user")
    name = str(user.get("username", "")) if isinstance(user, dict) else ""
    of_ours = path == prediction.uri.partition("?")[0] and event.get("verb") == prediction.verb
    return of_ours and (prediction.user is None or name == prediction.user)


def _stage(event: dict[str, Any]) -> Stage | str:
    said = str(event.get("stage", ""))
    return Stage(said) if said in set(Stage) else said[:64]


def _level(event: dict[str, Any]) -> str:
    said = str(event.get("level", ""))
    return said[:64]


def _namespace(event: dict[str, Any]) -> str:
    about = event.get("objectRef")
    return str(about.get("namespace", ""))[:64] if isinstance(about, dict) else ""


def _named(stages: Iterable[Stage | str]) -> str:
    return ", ".join(sorted(map(str, stages))) or "none"
