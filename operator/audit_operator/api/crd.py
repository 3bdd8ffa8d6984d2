"""The CustomResourceDefinitions, generated from the models so that the two cannot drift apart.

``python -m audit_operator.api.crd --write crds`` writes them; ``--check crds`` fails where the files differ.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from audit_operator.api.kinds import KINDS
from audit_operator.api.resource import CATEGORY, GROUP, VERSION
from audit_operator.api.schema import openapi_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit_operator.api.resource import PrinterColumn, Resource

_HEADER = "# Generated from operator/audit_operator/api by `make crds`. Do not edit.\n"


def render_crds() -> dict[str, str]:
    """File name to text of every CustomResourceDefinition; always the same bytes."""
    return {f"{GROUP}_{model.info.plural}.yaml": _HEADER + _to_yaml(crd(model)) for model in KINDS.values()}


def crd(model: type[Resource]) -> dict[str, Any]:
    """The `apiextensions.k8s.io/v1` CustomResourceDefinition of one kind."""
    info = model.info
    kind = model.__name__
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{info.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": info.plural,
                "singular": info.singular,
                "shortNames": [info.short_name],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced" if info.namespaced else "Cluster",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [_column(each) for each in info.columns],
                    "schema": {"openAPIV3Schema": openapi_schema(kind)},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


def _column(column: PrinterColumn) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.json_path,
        "description": column.description,
    }
    return entry | ({"priority": column.priority} if column.priority else {})


class _Dumper(yaml.SafeDumper):
    """Repeats equal parts instead of pointing at them, and indents lists, as people write manifests."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - same
        super().increase_indent(flow, False)


def _to_yaml(document: dict[str, Any]) -> str:
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or compare the files; the exit code is 1 where a file differs."""
    parser = argparse.ArgumentParser(prog="python -m audit_operator.api.crd", description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="FOLDER", help="write the files into a folder")
    action.add_argument("--check", type=Path, metavar="FOLDER", help="fail if a file in a folder differs")
    options = parser.parse_args(arguments)
    if options.write:
        for name, text in render_crds().items():
            (options.write / name).write_text(text, encoding="utf-8")
        return 0
    stale = drift(options.check)
    for name in stale:
        sys.stderr.write(f"{options.check / name} differs from the models: run `make crds`\n")
    return 1 if stale else 0


def drift(folder: Path) -> list[str]:
    """Names of files in a folder that are not what the models say, missing and left-over ones included."""
    wanted = render_crds()
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.yaml")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


if __name__ == "__main__":
    sys.exit(main())
