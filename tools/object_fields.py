"""Writes down which fields objects of the API have: the data behind `audit_operator.detections.bodies`.

    python tools/object_fields.py > operator/audit_operator/detections/object_fields.json

Taken from the models of the Kubernetes client, of all versions of a kind together.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict

from kubernetes import __version__
from kubernetes.client import models

_VERSIONED = re.compile(r"^[A-Za-z]*?V[0-9]+((alpha|beta)[0-9]+)?(?=[A-Z])")
_WRAPPED = re.compile(r"^(List|Dict)\[(str, )?(.+)\]$")
_SCALARS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "bytes": "string"}


def named(model: str) -> str:
    """The name of a type without its group and version: ``V1Pod`` is a ``Pod``."""
    return _VERSIONED.sub("", model)


def spelled(kind: str) -> str:
    """A type as `bodies` reads it: ``[Container]``, ``{string}``, ``boolean``; ``*`` is anything."""
    wrapped = _WRAPPED.match(kind)
    if wrapped:
        inner = spelled(wrapped[3])
        return f"[{inner}]" if wrapped[1] == "List" else f"{{{inner}}}"
    if kind in _SCALARS:
        return _SCALARS[kind]
    return named(kind) if hasattr(models, kind) else "string" if kind == "datetime" else "*"


def main() -> None:
    """Write one type per line."""
    types: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name in sorted(dir(models), reverse=True):  # V2 and V1 after V1beta1: the stable version has the last word
        found = getattr(models, name)
        if isinstance(found, type) and _VERSIONED.match(name):
            for attribute, kind in found.openapi_types.items():
                types[named(name)][found.attribute_map[attribute]] = spelled(kind)
    types = {name: fields for name, fields in types.items() if not name.endswith(("List", "ApplyConfiguration"))}
    lines = [f"    {json.dumps(name)}: {json.dumps(fields, sort_keys=True)}" for name, fields in sorted(types.items())]
    print(f'{{\n  "origin": "kubernetes client {__version__}",\n  "types": {{\n' + ",\n".join(lines) + "\n  }\n}")


if __name__ == "__main__":
    main()
