"""What a schema alone cannot say, said once for the API server (CEL) and for us (Python).

A constraint pairs a CEL rule, which the API server evaluates at admission, with a predicate that the models evaluate
offline. Standing side by side they are easy to compare, and the table of wrong objects in the tests is refused by both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError, core_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

CEL_KEY = "x-kubernetes-validations"
LIST_TYPE_KEY = "x-kubernetes-list-type"
LIST_MAP_KEYS_KEY = "x-kubernetes-list-map-keys"


@dataclass(frozen=True, slots=True)
class Constraint:
    """One rule about a value, usable on a model (``constraints``) or in ``Annotated`` on a scalar.

    Attributes:
        rule: CEL expression over ``self``.
        message: what must be so, as a sentence that follows the field's name.
        holds: the same rule in Python.
        field: JSON name of the property to blame, where it is not the value itself.
    """

    rule: str
    message: str
    holds: Callable[[Any], bool]
    field: str = ""

    def check(self, value: Any) -> Any:
        """Return the value; raise a validation error that carries the message where the rule does not hold."""
        if not self.holds(value):
            raise PydanticCustomError("constraint", "{reason}", self._context())
        return value

    def _context(self) -> dict[str, str]:
        return {"reason": self.message} | ({"field": self.field} if self.field else {})

    def cel(self) -> dict[str, str]:
        """The entry of ``x-kubernetes-validations``."""
        entry = {"rule": self.rule, "message": self.message}
        if self.field:
            entry["fieldPath"] = f".{self.field}"
        return entry

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core)
        schema.setdefault(CEL_KEY, []).append(self.cel())
        return schema


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression that a string must match in full, with a message that people understand.

    The schema's own `pattern` costs the API server nothing, where a CEL rule deep inside lists would exceed its budget.

    Attributes:
        regex: anchored at both ends, in the dialect that Go and Python share.
        message: what must be so, as a sentence that follows the field's name.
    """

    regex: str
    message: str

    def check(self, value: str) -> str:
        """Return the value; raise a validation error that carries the message where it does not match."""
        if re.fullmatch(self.regex, value, re.ASCII) is None:
            raise PydanticCustomError("constraint", "{reason}", {"reason": self.message})
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(core) | {"pattern": self.regex}


@dataclass(frozen=True, slots=True)
class ListType:
    """How server-side apply merges a list: ``atomic``, ``set``, or ``map`` by `keys` (JSON names).

    Sets and maps refuse duplicates, as the API server does.
    """

    name: str
    keys: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        inner = handler(source)
        return inner if self.name == "atomic" else core_schema.no_info_after_validator_function(self._unique, inner)

    def __get_pydantic_json_schema__(
        self, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core)
        schema[LIST_TYPE_KEY] = self.name
        if self.keys:
            schema[LIST_MAP_KEYS_KEY] = list(self.keys)
        return schema

    def _unique(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        seen = set()
        for index, value in enumerate(values):
            identity = tuple(getattr(value, key) for key in self.keys) if self.keys else value
            if identity in seen:
                what = " and ".join(self.keys) or "value"
                raise PydanticCustomError(
                    "constraint",
                    "{reason}",
                    {"reason": f"has the same {what} as an earlier entry: each may appear once", "index": index},
                )
            seen.add(identity)
        return values


ATOMIC = ListType("atomic")
SET = ListType("set")
