"""One page for the command line, made of the parser that reads it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from audit_operator.cli.main import command_line
from tools.reference.markdown import GENERATED, anchor, code, fenced, table

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAM = "audit-operator"
_INTRODUCTION = f"""# Command line

`{_PROGRAM} COMMAND`, or `kubectl audit-policy COMMAND` as a plug-in of kubectl: the same program. All have `--help`.

Exit status: 0 fine, 1 findings at or above `--fail-on`, or objects that could not be read, 2 wrong usage; where a
command differs, it says so.

"""


def command_line_page() -> str:
    """The page, with a section for each command and each of its actions."""
    found = list(_commands(_PROGRAM, command_line(_PROGRAM)))
    contents = table(("command", "does"), ((f"[{code(name)}](#{anchor(name)})", summary) for name, summary, _ in found))
    sections = "".join(_section(name, parser) for name, _, parser in found)
    return (GENERATED + _INTRODUCTION + contents + sections).rstrip() + "\n"


def _commands(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """All below a parser: what to type, what it does in a few words, and what reads the rest."""
    for action in _actions(parser):
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse has no public name for it
            summaries = {each.dest: each.help or "" for each in action._choices_actions}  # noqa: SLF001 - same
            for word, child in action.choices.items():
                yield f"{name} {word}", summaries[word], child
                yield from _commands(f"{name} {word}", child)


def _section(name: str, parser: argparse.ArgumentParser) -> str:
    text = f"## {name}\n\n{parser.description or ''}\n\n"
    own = [each for each in _actions(parser) if not isinstance(each, argparse._HelpAction)]  # noqa: SLF001 - same
    plain = [each for each in own if not isinstance(each, argparse._SubParsersAction)]  # noqa: SLF001 - same
    text += table(("argument", "says"), ((_named(each), _said(each)) for each in plain))
    return text + (fenced(parser.epilog, "text") if parser.epilog else "")


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions  # noqa: SLF001 - argparse tells nobody what it was told


def _named(action: argparse.Action) -> str:
    """As it is typed, with the name of its value."""
    value = "" if action.nargs == 0 else _value(action)
    if not action.option_strings:
        optional = action.nargs in ("?", "*")
        return code(f"[{value}]" if optional else value) + (" ..." if action.nargs in ("*", "+") else "")
    names = ", ".join(code(f"{each} {value}".rstrip()) for each in action.option_strings)
    return names + (" *required*" if action.required else "")


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices is not None:
        return "|".join(map(str, action.choices))
    return action.dest.upper()


def _said(action: argparse.Action) -> str:
    text = (action.help or "") % {"prog": _PROGRAM, "default": action.default}
    again = isinstance(action, argparse._AppendAction)  # noqa: SLF001 - same
    return text + (" *Can be given several times.*" if again else "")
