"""What an agent must not forget when it dies: the change under way, and what became of earlier ones.

Both are small JSON files that appear by a rename. The journal says what was intended; what has happened is read off the
manifest, whose SHA-256 is one of the two that the journal names. So no step needs two files to change at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping  # pydantic needs it at run time
from enum import StrEnum
from typing import Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from audit_operator.controlplane.static_pod.audit_flags import AuditConfiguration  # pydantic

_REMEMBERED = 20

_Value = TypeVar("_Value")


class Phase(StrEnum):
    """How far a change has come, as far as its journal knows; see docs/design/static-pod.md.

    Prepared: everything that it needs is on the disk. The manifest tells whether it was replaced already.
    Applied: the manifest was replaced, and the API server is coming up.
    Probation: the API server came up. For a while, one that keeps dying still gets back what it had before.
    RollingBack: it did not come up; the manifest gets back what it had before, and the API server is waited for.
    """

    PREPARED = "Prepared"
    APPLIED = "Applied"
    PROBATION = "Probation"
    ROLLING_BACK = "RollingBack"


class Journal(BaseModel):
    """One change.

    Attributes:
        version: of this format.
        plane: whose instructions asked for it.
        phase: see Phase.
        configuration: what is to run; None to put back what was there before enrolment.
        configuration_before: what was to run before; None if that was not ours.
        manifest: file name of the manifest.
        before: SHA-256 of the manifest as it was.
        after: SHA-256 of the manifest as it is to be.
        applied_at: seconds since the epoch when the manifest was replaced, or when its phase began.
        ready_timeout: seconds that the API server has to become ready.
        error: why it is rolled back.
        processes: pid and start time of each that was seen in its probation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    plane: str
    phase: Phase = Phase.PREPARED
    configuration: AuditConfiguration | None
    configuration_before: AuditConfiguration | None
    manifest: str
    before: str
    after: str
    applied_at: float = 0.0
    ready_timeout: float
    error: str = ""
    processes: tuple[tuple[int, int], ...] = ()

    @property
    def id(self) -> str:
        """Of the configuration; `UNENROLLED` for none."""
        return self.configuration.id if self.configuration else UNENROLLED

    def entering(self, phase: Phase, at: float, error: str = "") -> Self:
        """The same change in another phase."""
        return self.model_copy(update={"phase": phase, "applied_at": at, "error": error})


UNENROLLED = "unenrolled"


def text_digest(text: str) -> str:
    """SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


class NodeFailure(BaseModel):
    """Why a configuration is not tried again by itself; `refused` says that it was never tried at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    why: str
    refused: bool = False


class Record(BaseModel):
    """The memory of one node.

    Attributes:
        version: of this format.
        written: what the manifest says because we wrote it; None before enrolment and after unenrolment.
        failures: why a configuration is not tried again, by its id.
        attempts: changes begun towards a configuration, by its id.
        retry: the last `retry` of the instructions that was acted upon.
        may_take_over: whether to write over what somebody else has written since; until the next change ends.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    written: AuditConfiguration | None = None
    failures: Mapping[str, NodeFailure] = Field(default_factory=dict)
    attempts: Mapping[str, int] = Field(default_factory=dict)
    retry: str = ""
    may_take_over: bool = False

    @property
    def whys(self) -> dict[str, str]:
        """Why a configuration is not tried again, in words, by its id."""
        return {each: failure.why for each, failure in self.failures.items()}

    def with_attempt(self, configuration_id: str) -> Self:
        """A change towards it begins."""
        count = self.attempts.get(configuration_id, 0) + 1
        return self.model_copy(update={"attempts": _with(self.attempts, configuration_id, count)})

    def with_success(self, configuration_id: str, written: AuditConfiguration | None) -> Self:
        """It runs, and is what the manifest says."""
        failures = {each: why for each, why in self.failures.items() if each != configuration_id}
        return self.model_copy(update={"written": written, "failures": failures, "may_take_over": False})

    def with_failure(self, configuration_id: str, why: str, *, refused: bool = False) -> Self:
        """It does not run here, and is not tried again by itself."""
        failures = _with(self.failures, configuration_id, NodeFailure(why=why, refused=refused))
        return self.model_copy(update={"failures": failures, "may_take_over": False})

    def forgiving(self, retry: str) -> Self:
        """Somebody asks to try once more what has failed, and to write over what somebody else has written."""
        return self.model_copy(update={"failures": {}, "retry": retry, "may_take_over": True})


def _with(mapping: Mapping[str, _Value], key: str, value: _Value) -> dict[str, _Value]:
    """With an entry as the latest of a bounded number."""
    others = {each: known for each, known in mapping.items() if each != key}
    return dict([*others.items(), (key, value)][-_REMEMBERED:])
