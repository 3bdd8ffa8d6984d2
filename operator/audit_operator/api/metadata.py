"""The part of `metav1.ObjectMeta` that the operator reads.

Kubernetes owns this type and may add to it, so that keys we do not know are let through, unlike everywhere else.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from audit_operator.api.model import ApiModel
from audit_operator.api.text import ObjectName


class ObjectMeta(ApiModel):
    """Name, namespace and what the API server keeps about an object."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )

    name: ObjectName = Field(description="Name, unique among objects of one kind in one namespace.")
    namespace: Annotated[str, Field(max_length=63, pattern="^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$")] = Field(
        default="", description="Namespace; empty where cluster-scoped."
    )
    labels: dict[str, str] = Field(default_factory=dict, description="Labels.")
    annotations: dict[str, str] = Field(default_factory=dict, description="Annotations.")
    uid: str = Field(default="", description="Identity of the object over its whole life.")
    generation: int = Field(default=0, description="Counts changes of the spec; 0 where the object is not stored.")
    resource_version: str = Field(default="", description="Changes whenever the stored object does.")
    creation_timestamp: str | None = Field(default=None, description="When the object was created, RFC 3339.")
    deletion_timestamp: str | None = Field(default=None, description="When deletion was asked for, RFC 3339.")
