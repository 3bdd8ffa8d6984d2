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
        NotUnderstoodError: it is no YAML.
    """
    try:
        yield from yaml.safe_load_all(text)
    except yaml.YAMLError as error:
        raise NotUnderstoodError(f"no YAML: {str(error).splitlines()[0]}") from error
