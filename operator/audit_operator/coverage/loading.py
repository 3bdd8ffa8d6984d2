"""Catalogues from text: the one that ships with the operator, and those that users bring.

A user's catalogue comes from a ConfigMap, under the key `catalogue.yaml`, or from a file. Whatever it holds, the answer
is a catalogue or findings with line numbers: a mistake in it must not stop the operator.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from audit_operator.coverage.catalogue import OPERATOR_NAMESPACE, Catalogue
from audit_operator.policy.document import format_path
from audit_operator.policy.typed_document import read_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.api.findings import Finding, ObjectRef
    from audit_operator.policy.document import Path

CATALOGUE_KEY = "catalogue.yaml"
"""The key of a ConfigMap that holds a catalogue."""

MAX_REQUESTS = 10_000
"""Most requests (verbs times resources or paths) of all actions together; the built-in catalogue has about 700."""


def load_catalogue(
    text: str | bytes, *, source: ObjectRef | None = None, file: str = ""
) -> Catalogue | tuple[Finding, ...]:
    """The catalogue, or at least one finding of severity Error. Never raises.

    Stricter than Kubernetes about the text: duplicate keys and further documents are errors, since either way something
    that was written would not count.

    Args:
        text: YAML or JSON.
        source: the object that holds the text, for findings.
        file: its file name, for findings.
    """
    read = read_document(text, Catalogue, "the catalogue", source=source, file=file)
    if isinstance(read, tuple):
        return read
    catalogue = read.value
    if (size := _size(catalogue)) > MAX_REQUESTS:
        message = f"the actions are {size} requests together; at most {MAX_REQUESTS} are judged"
        return (read.report("out-of-bounds", message, ("actions",)),)
    duplicates = tuple(
        read.report("duplicate-name", f"{format_path(path)} is named {name} like an earlier one", path)
        for path, name in _duplicates(catalogue)
    )
    return duplicates or catalogue


@lru_cache
def builtin_catalogue(operator_namespace: str = OPERATOR_NAMESPACE) -> Catalogue:
    """The catalogue that ships with the operator, for an operator that runs in that namespace."""
    loaded = load_catalogue(files(__package__).joinpath(CATALOGUE_KEY).read_bytes(), file=CATALOGUE_KEY)
    if not isinstance(loaded, Catalogue):
        raise TypeError(f"the built-in catalogue is broken: {loaded}")
    return loaded.for_operator_in(operator_namespace)


def _size(catalogue: Catalogue) -> int:
    return sum(
        len(match.verbs) * (len(match.resources) + len(match.non_resource_urls)) * max(1, len(match.namespaces))
        for action in catalogue.actions
        for match in action.match
    )


def _duplicates(catalogue: Catalogue) -> Iterator[tuple[Path, str]]:
    names: dict[str, Iterable[str]] = {
        "subjects": (subject.name for subject in catalogue.subjects),
        "actions": (action.id for action in catalogue.actions),
        "blindSpots": (blind_spot.id for blind_spot in catalogue.blind_spots),
    }
    for part, listed in names.items():
        seen: set[str] = set()
        for index, name in enumerate(listed):
            if name in seen:
                yield (part, index), name
            seen.add(name)
