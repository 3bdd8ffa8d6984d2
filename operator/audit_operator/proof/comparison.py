"""What was read back, held against what was predicted.

An Audit-ID is chosen by whoever sends a request, and whoever reads records can see ours. So a record counts as ours
only if it is of our request; another one with our id is somebody else's, and is said.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from audit_operator.api.audit import Level, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.proof.prediction import Prediction


_LONGEST = 512
_WITH_BODY = (Level.REQUEST, Level.REQUEST_RESPONSE)
_NO_BODY = "no body"
_ANSWER = {"kind": "Status", "code": 404}


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
        field: in what the two differ: ``level``, ``stages``, ``namespace``, ``redaction``, ``body``; empty where they
            do not. Of an unknown outcome it says what could not be read whole.
        predicted, found: both values of it, free of anything that was to be taken out.
        strangers: records of somebody else that have our Audit-ID.
    """

    outcome: Outcome
    field: str = ""
    predicted: str = ""
    found: str = ""
    strangers: int = 0


def compare(
    prediction: Prediction,
    texts: Iterable[str],
    *,
    over: bool = False,
    witnessed: bool = False,
    complete: bool = True,
) -> Compared:
    """Hold the records of an Audit-ID in one sink against the prediction.

    Args:
        prediction: of the request with this Audit-ID.
        texts: every record, as JSON.
        over: whether there was time enough: what is not there now is missing.
        witnessed: whether another request, sent later the same way, was found there. Where nothing is to be found,
            silence proves nothing without.
        complete: whether `texts` are all that there are: else what is not among them is not known to be missing.
    """
    events = [_event(text) for text in texts]
    ours = [event for event in events if event is not None and _is_ours(event, prediction)]
    strangers = len(events) - len(ours)
    for field, predicted, found in _differences(prediction, ours):
        if predicted != found:
            return Compared(Outcome.CONTRADICTED, field, predicted, found, strangers)
    missing = prediction.levels.keys() - {_stage(event) for event in ours}
    if missing:
        late = Outcome.MISSING if complete else Outcome.UNKNOWN
        outcome = late if over else Outcome.PENDING
        return Compared(outcome, "stages", _named(prediction.levels), _named(map(_stage, ours)), strangers)
    if not prediction.levels and not complete:
        return Compared(Outcome.UNKNOWN if over else Outcome.PENDING, "stages", "none", "none", strangers)
    if not prediction.levels and not (over and witnessed):
        return Compared(Outcome.UNKNOWN if over else Outcome.PENDING, strangers=strangers)
    return Compared(Outcome.VERIFIED, strangers=strangers)


def _differences(prediction: Prediction, events: list[dict[str, Any]]) -> Iterable[tuple[str, str, str]]:
    for event in events:
        stage = _stage(event)
        wanted = prediction.levels.get(stage) if isinstance(stage, Stage) else None
        if wanted is None:
            yield "stages", _named(prediction.levels), str(stage)
        yield "level", f"{wanted} at {stage}", f"{_level(event)} at {stage}"
        yield "namespace", prediction.namespace, _namespace(event)
        text = json.dumps(event)
        if any(each in text for each in prediction.hidden):
            yield "redaction", "taken out", "in clear"
        yield "redaction", prediction.uri, str(event.get("requestURI"))[:_LONGEST]
        at_last = stage is Stage.RESPONSE_COMPLETE
        predicted = prediction.body if at_last and wanted in _WITH_BODY else None
        yield "body", *_bodies("requestObject", predicted, event.get("requestObject"))
        if wanted is not Level.REQUEST_RESPONSE or prediction.answered:
            answer = _ANSWER if at_last and wanted is Level.REQUEST_RESPONSE else None
            yield "body", *_bodies("responseObject", answer, event.get("responseObject"))


def _bodies(name: str, predicted: dict[str, Any] | None, found: object) -> tuple[str, str]:
    """What is to be there and what is, by its place alone: the values may be secrets."""
    if predicted is None or found is None:
        return (name if predicted is not None else _NO_BODY), (name if found is not None else _NO_BODY)
    lacking = _lacking(predicted, found, name)
    return lacking or name, f"{lacking} missing, or another" if lacking else name


def _lacking(predicted: object, found: object, place: str) -> str:
    """The first place at which what was predicted is not; empty if all is there, whatever else there is."""
    if isinstance(predicted, dict):
        if not isinstance(found, dict):
            return place
        lacking = (_lacking(each, found.get(key), f"{place}.{key}") for key, each in predicted.items())
        return next(filter(None, lacking), "")
    if isinstance(predicted, list):
        if not isinstance(found, list) or len(found) != len(predicted):
            return place
        pairs = enumerate(zip(predicted, found, strict=True))
        return next(filter(None, (_lacking(*pair, f"{place}[{number}]") for number, pair in pairs)), "")
    return "" if predicted == found else place


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
    return ", ".join(sorted(set(map(str, stages)))) or "none"
