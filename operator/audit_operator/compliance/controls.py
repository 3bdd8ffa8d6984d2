"""Controls as data: what a framework asks for, and which evidence of it a tool can have.

Most of a framework is about people. A control is judged only where something can be observed that it depends on; of all
others the table says why they are not, so that nobody takes a record of an action for a control over it.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from audit_operator.api.compliance import Framework
from audit_operator.api.model import ApiModel
from audit_operator.api.text import Line, Word
from audit_operator.policy.typed_document import read_document

if TYPE_CHECKING:
    from collections.abc import Iterable

_FILE = "controls.yaml"


class EvidenceKind(StrEnum):
    """What can be observed, and speaks for or against a control.

    Recorded: the critical actions of the control are recorded as needed. NotLeaked: none of them is recorded above what
    is safe. InForce: every API server was seen to run with the policy. Delivered: records arrive in their stores.
    Retained: stores were seen to keep records as asked, and as long as the framework asks. Expires: policies ask stores
    to delete at some time, and these were seen to. Sealed: stores are sealed, and were found as they were sealed.
    Readers, Writers, Disablers: nobody unexpected may read records, decide what is recorded, or switch auditing off.
    Fields: records have the mandatory fields. LogPath, LogAge, LogFiles, LogSize: an API server writes files, and keeps
    so much of them for so long.
    """

    RECORDED = "Recorded"
    NOT_LEAKED = "NotLeaked"
    IN_FORCE = "InForce"
    DELIVERED = "Delivered"
    RETAINED = "Retained"
    EXPIRES = "Expires"
    SEALED = "Sealed"
    READERS = "Readers"
    WRITERS = "Writers"
    DISABLERS = "Disablers"
    FIELDS = "Fields"
    LOG_PATH = "LogPath"
    LOG_AGE = "LogAge"
    LOG_FILES = "LogFiles"
    LOG_SIZE = "LogSize"


class Reach(StrEnum):
    """Where a control is judged."""

    ANYWHERE = "Anywhere"
    CLUSTER = "Cluster"


class Control(ApiModel):
    """One control of a framework."""

    framework: Framework = Field(description="The framework.")
    id: Word = Field(description="Its id there, as the catalogue of critical actions has it.")
    title: Line = Field(description="What it asks for, in our words.")
    reach: Reach = Field(default=Reach.ANYWHERE, description="Cluster: it is about nothing in one namespace.")
    evidence: Annotated[tuple[EvidenceKind, ...], Field(max_length=8)] = Field(
        default=(), description="All of it must be there for a pass."
    )
    minimum_hours: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Hours for which records must be kept; 0: as policies say."
    )
    hot_hours: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Hours for which they must be searchable at once."
    )
    beyond: Line = Field(default="", description="What it asks for besides, which no verdict here is about.")
    cannot_be_judged: Line = Field(default="", description="Why no evidence that a tool can have decides about it.")
    read_in: Line = Field(
        default="", description="Where its words were read; empty: only what others write about it is known."
    )

    @model_validator(mode="after")
    def _either(self) -> Self:
        if bool(self.evidence) == bool(self.cannot_be_judged):
            raise PydanticCustomError("constraint", "needs either evidence or cannotBeJudged")
        return self

    @property
    def verified(self) -> bool:
        """Whether its words were read."""
        return self.read_in != ""

    def __str__(self) -> str:
        return f"{self.framework} {self.id}" + ("" if self.verified else " (unverified)")


class Controls(ApiModel):
    """All controls that are known."""

    api_version: Literal["compliance.audit-operator.dev/v1alpha1"] = Field(description="Version of this format.")
    kind: Literal["ControlList"] = Field(description="Name of this format.")
    controls: tuple[Control, ...] = Field(description="The controls.")


@lru_cache
def builtin_controls() -> tuple[Control, ...]:
    """The controls that ship with the operator, in the order of the file."""
    read = read_document(files(__package__).joinpath(_FILE).read_bytes(), Controls, "the list of controls", file=_FILE)
    if isinstance(read, tuple):
        raise TypeError(f"the built-in list of controls is broken: {read}")
    return read.value.controls


def controls_of(frameworks: Iterable[Framework]) -> tuple[Control, ...]:
    """The controls of these frameworks, in the order of the file."""
    wanted = frozenset(frameworks)
    return tuple(each for each in builtin_controls() if each.framework in wanted)
