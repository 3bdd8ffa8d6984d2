"""`crds`: the CustomResourceDefinitions, as the models generate them."""

from __future__ import annotations

import argparse
import json
import sys

import yaml

from audit_operator.api.crd import render_crds

EXAMPLES = """examples:
  audit-operator crds | kubectl apply --server-side -f -
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "crds",
        help="print the CustomResourceDefinitions",
        description="Print the CustomResourceDefinitions of this version on standard output.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-o", "--output", choices=["yaml", "json"], default="yaml", help="default: yaml")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print them."""
    texts = render_crds().values()
    if options.output == "json":
        items = [yaml.safe_load(text) for text in texts]
        print(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2))
    else:
        sys.stdout.write("---\n".join(texts))
    return 0
