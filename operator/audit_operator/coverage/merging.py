"""Several catalogues as one: what a user adds, and what a user judges differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.coverage.catalogue import Action, BlindSpot, Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit_operator.coverage.catalogue import Catalogue

_Named = TypeVar("_Named", Action, BlindSpot, Subject)


def merge(base: Catalogue, addition: Catalogue, *, source: ObjectRef | None = None) -> Catalogue | tuple[Finding, ...]:
    """`base` with the parts of `addition`; what has the same id or name replaces what was there.

    An action that replaces a core action is not core: figures over the core stay comparable. Actions may use the
    subjects of either catalogue; one that is in neither is reported.
    """
    replaced = tuple(action.model_copy(update={"core": False}) for action in addition.actions)
    merged = base.replace(
        subjects=_overlaid(base.subjects, addition.subjects, lambda subject: subject.name),
        actions=_overlaid(base.actions, replaced, lambda action: action.id),
        blind_spots=_overlaid(base.blind_spots, addition.blind_spots, lambda blind_spot: blind_spot.id),
    )
    known = {subject.name for subject in merged.subjects}
    unknown = tuple(
        Finding(
            "unknown-subject",
            Severity.ERROR,
            f"action {action.id} is about subject {subject}, which no catalogue describes",
            mend=f"describe it under subjects, or use one of {', '.join(sorted(known))}",
            object=source,
            path=f"actions[{index}].subjects",
        )
        for index, action in enumerate(addition.actions)
        for subject in action.subjects
        if subject not in known
    )
    return unknown or merged


def _overlaid(
    base: tuple[_Named, ...], addition: tuple[_Named, ...], name_of: Callable[[_Named], str]
) -> tuple[_Named, ...]:
    parts = {name_of(part): part for part in base}
    parts.update({name_of(part): part for part in addition})
    return tuple(parts.values())
