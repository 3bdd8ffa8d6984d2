"""A detection rule, whatever language it was written in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit_operator.detections.condition import Condition


class Pack(StrEnum):
    """Where a rule comes from."""

    FALCO = "falco"
    SIGMA = "sigma"
    ELASTIC = "elastic"
    OWN = "own"


class NotUnderstoodError(Exception):
    """Something in a rule that is not understood; the message says what, and where."""


@dataclass(frozen=True, slots=True)
class DetectionRule:
    """A rule, in terms of audit events.

    Attributes:
        pack: whose language it is.
        name: as its author calls it.
        file: where it was read.
        condition: what an event must be like to fire it; None if that was not understood.
        loose: the same where languages leave open what an absent field amounts to: true of at least as many events.
        problem: why the condition was not understood, or why more than one event is needed; else empty.
        disabled: whether it is switched off, so that nothing fires it.
        further: what other events must be like that have to come besides.
    """

    pack: Pack
    name: str
    file: str
    condition: Condition | None
    loose: Condition | None = None
    problem: str = ""
    disabled: bool = False
    further: tuple[Condition, ...] = ()
