"""Which values a field of an event can have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.detections.condition import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from audit_operator.detections.condition import Field


def _anything(_: Any) -> bool:
    return True


def as_text(_: Field, example: str) -> Iterator[Any]:
    """The text itself."""
    yield example


def as_integer(_: Field, example: str) -> Iterator[Any]:
    """The number that the text is."""
    if example.lstrip("-").isdigit():
        yield int(example)


def as_duration(field: Field, example: str) -> Iterator[Any]:
    """A duration of so many milliseconds."""
    yield f"{example}ms" if field.reading is Reading.MILLISECONDS else example


def as_map(field: Field, example: str) -> Iterator[Any]:
    """An object of strings in whose JSON the text stands."""
    if field.reading is Reading.JSON_TEXT:
        if json.dumps(example) == f'"{example}"':
            yield {example: "x"}
    else:
        yield example


@dataclass(frozen=True, slots=True)
class Domain:
    """What a field can hold.

    Attributes:
        choices: all values that it can have; None if they cannot be listed.
        defaults: values that it may well have.
        optional: whether it may be absent.
        many: whether it can have several values at once.
        accepts: whether it can have a value.
        form: values that it can have, such that a text is read from them.
        closed: whether nothing can be done for a pattern that asks for one value which it cannot have.
        doubt: why nobody can be sure that it ever has a value; empty if it is certain.
    """

    choices: tuple[Any, ...] | None = None
    defaults: tuple[Any, ...] = ()
    optional: bool = True
    many: bool = False
    accepts: Callable[[Any], bool] = _anything
    form: Callable[[Field, str], Iterator[Any]] = as_text
    closed: bool = True
    doubt: str = ""


ABSENT = Domain(choices=())
"""Of a field that is not there."""


def one_of(*values: Any, optional: bool = False) -> Domain:
    """The domain of a field with one of these values."""
    return Domain(choices=values, optional=optional or not values)
