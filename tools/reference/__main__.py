"""Write the reference pages, so that what they say is what the programs do.

``--write docs/reference`` is `make docs`; ``--check docs/reference``, part of `make check`, fails where one differs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.reference.command_line import command_line_page
from tools.reference.kinds import kind_pages

_FILES = "*.md"


def pages() -> dict[str, str]:
    """File name to text of every page; always the same bytes."""
    return {**kind_pages(), "cli.md": command_line_page()}


def stale(folder: Path) -> list[str]:
    """Names of files in a folder that are not what the programs say, missing and left-over ones included."""
    wanted = pages()
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob(_FILES)}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def main() -> int:
    """Write or compare the pages; the exit status is 1 where one differs."""
    parser = argparse.ArgumentParser(prog="python -m tools.reference", description=__doc__.splitlines()[0])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="FOLDER", help="write the pages into a folder")
    action.add_argument("--check", type=Path, metavar="FOLDER", help="fail if a page in a folder differs")
    options = parser.parse_args()
    if options.write:
        for name, text in pages().items():
            (options.write / name).write_text(text, encoding="utf-8")
        return 0
    different = stale(options.check)
    for name in different:
        print(f"{options.check / name} differs from what the programs say: run `make docs`", file=sys.stderr)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
