"""`tail`: records as they come."""

from __future__ import annotations

import argparse

from audit_operator.cli import query
from audit_operator.cli.records import OUTPUTS

EXAMPLES = """examples:
  audit-operator tail -n payments
  audit-operator tail -n payments --verb delete
  audit-operator tail -n payments,shop --code 403 --server https://audit-reader.example.com --ca ca.crt
  audit-operator tail -n payments --since 5m -o ndjson | jq .attributes

As `audit-operator query --follow`, whose --help says what is asked and with which rights. On a terminal, what was
refused is yellow and what failed is red; NO_COLOR=1 switches that off. Records come some seconds after the request.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "tail",
        help="show records as they come",
        description="Show the records of namespaces as they come, until interrupted.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    query.add_what(parser)
    query.add_source(parser)
    parser.add_argument("-o", "--output", choices=OUTPUTS, default="table", help="default: table")
    parser.set_defaults(run=query.run, follow=True, until=None, limit=None, order=None)
