"""`crds`: the CustomResourceDefinitions, as the models generate them."""

from __future__ import annotations

import argparse
import sys

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
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:  # noqa: ARG001 - every command has this shape
    """Print them."""
    sys.stdout.write("---\n".join(render_crds().values()))
    return 0
