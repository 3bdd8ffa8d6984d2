"""YAML files of rules that others have written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from audit_operator.detections.rule import NotUnderstoodError

if TYPE_CHECKING:
    from collections.abc import Iterator


def documents(text: str) -> Iterator[Any]:
    """The documents of a file.

    Raises:
        NotUnderstoodError: it is no YAML; the message names the line.
    """
    try:
        yield from yaml.safe_load_all(text)
    except yaml.YAMLError as error:
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise NotUnderstoodError(f"no YAML: line {_line(error, text)}: {what}") from error
    except ValueError as error:
        # Such as a date that there is not.
        raise NotUnderstoodError(f"no YAML: {error}") from error


def _line(error: yaml.YAMLError, text: str) -> int:
    """Where a parser stopped, or a character that YAML does not have, stands."""
    if isinstance(error, yaml.reader.ReaderError):
        return text.count("\n", 0, error.position) + 1
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark is not None else 1
