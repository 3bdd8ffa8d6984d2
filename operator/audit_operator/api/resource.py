"""What all kinds share: the group, how each is served, and the envelope of apiVersion, kind and metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from audit_operator.api.findings import ObjectRef
from audit_operator.api.metadata import ObjectMeta
from audit_operator.api.model import ApiModel

GROUP = "audit-operator.dev"
VERSION = "v1alpha1"
API_VERSION: Literal["audit-operator.dev/v1alpha1"] = "audit-operator.dev/v1alpha1"
CATEGORY = "audit"


@dataclass(frozen=True, slots=True)
class PrinterColumn:
    """One column of ``kubectl get``; priority 1 shows with ``-o wide`` only."""

    name: str
    type: str
    json_path: str
    description: str
    priority: int = 0


@dataclass(frozen=True, slots=True)
class KindInfo:
    """How a kind is served."""

    plural: str
    singular: str
    short_name: str
    namespaced: bool
    columns: tuple[PrinterColumn, ...]


class Resource(ApiModel):
    """An object of one of our kinds. Subclasses add `kind`, `spec` and `status`."""

    info: ClassVar[KindInfo]

    api_version: Literal["audit-operator.dev/v1alpha1"] = Field(default=API_VERSION, description="Version of the API.")
    metadata: ObjectMeta = Field(description="Standard object metadata.")

    @property
    def ref(self) -> ObjectRef:
        """Name of this object, for findings."""
        return ObjectRef(self.kind_name(), self.metadata.name, self.metadata.namespace)

    @classmethod
    def kind_name(cls) -> str:
        """The value of `kind`."""
        return cls.__name__


def condition_column(name: str, condition: str, field: str, description: str, priority: int = 0) -> PrinterColumn:
    """A column that shows one field of one condition."""
    path = f'.status.conditions[?(@.type=="{condition}")].{field}'
    return PrinterColumn(name, "string", path, description, priority)


READY = condition_column("Ready", "Ready", "status", "Whether everything that the spec asks for is true.")
MESSAGE = condition_column("Message", "Ready", "message", "What is missing.", priority=1)
AGE = PrinterColumn("Age", "date", ".metadata.creationTimestamp", "Time since the object was created.")


def columns(*own: PrinterColumn) -> tuple[PrinterColumn, ...]:
    """The kind's own columns, and those that every kind has."""
    return (*own, READY, AGE, MESSAGE)
