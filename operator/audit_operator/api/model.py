"""The base of everything that is written into or read out of an object: strict, frozen, closed.

Unknown keys are errors everywhere, because the API server's own audit policy drops them silently: a misspelt key in a
rule turns it into another rule.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_serializer, model_validator
from pydantic.alias_generators import to_camel

from audit_operator.api.constraints import CEL_KEY, Constraint

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler, SerializerFunctionWrapHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core.core_schema import CoreSchema


class ApiModel(BaseModel):
    """A part of an object. Python names are snake_case, JSON names camelCase."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )

    constraints: ClassVar[tuple[Constraint, ...]] = ()
    written_when_empty: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _check_constraints(self) -> Self:
        for constraint in self.constraints:
            constraint.check(self)
        return self

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # As Go's omitempty, but for empty values that differ from the default: those would read back as another object.
        omitted = _omitted_when_empty(type(self))
        return {key: value for key, value in handler(self).items() if key not in omitted or not _is_empty(value)}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        if cls.constraints:
            handler.resolve_ref_schema(schema)[CEL_KEY] = [each.cel() for each in cls.constraints]
        return schema


@cache
def _omitted_when_empty(model: type[ApiModel]) -> frozenset[str]:
    """Keys, by either name, that are left out where their value is empty."""
    fields = (
        (name, field)
        for name, field in model.model_fields.items()
        if name not in model.written_when_empty and _is_empty(field.get_default(call_default_factory=True))
    )
    return frozenset(key for name, field in fields for key in (name, field.serialization_alias or name))


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], (), {})
