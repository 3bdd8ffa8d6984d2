"""The command line: one file per command, all offline unless they say otherwise."""

from audit_operator.cli.main import main

__all__ = ["main"]
