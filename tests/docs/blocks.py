"""Blocks of a page that its readers are to type, to save, or to see; in the form that tests follow.

```yaml title=FILE          is saved as FILE
```sh                       is typed
```console                  of it, what follows `$ ` is typed; what stands below is printed by it
```sh title=another-terminal    is typed, and goes on until the end of the page
```text                     is what the block above prints: `…` is anything, and further lines may be between
<!-- not run: REASON -->    above a block: nobody follows it here, for this reason
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n)?"
    r"^```(?P<kind>\w*)(?: title=(?P<title>\S+))?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_CONTINUED = re.compile(r"(?:\\|( \|))\n\s*")
ANYTHING = "…"


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page.

    Attributes:
        kind: the language, as Markdown has it; may be empty.
        title: a file, or what the kind makes of it.
        reason: why it is not followed; empty: it is.
        line: of the page, where it begins.
    """

    kind: str
    title: str
    text: str
    reason: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """All blocks of a page, in its order."""
    content = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(content):
        line = content.count("\n", 0, found.start("kind")) + 1
        yield Block(found["kind"], found["title"] or "", found["text"], found["reason"] or "", line)


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """Each command of a block of the language console, with what it promises to print."""
    first, *rest = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert not first.strip(), f"line {block.line}: {first} is neither run, nor says why it is not"
    for each in rest:
        command, _, promised = _CONTINUED.sub(r"\1 ", each).partition("\n")
        yield command, promised


def follow(page: Path, folder: Path, printed_by: Callable[[str], str], *, as_promised: Callable[[str], str]) -> int:
    """Save the files of a page in a folder, and type its commands; how many these were.

    Each must print what the page promises, as `as_promised` reads that.
    """
    followed = 0
    for block in blocks(page):
        if block.title:
            (folder / block.title).parent.mkdir(exist_ok=True)
            (folder / block.title).write_text(block.text)
        elif block.kind == "console" and not block.reason:
            for command, promised in commands(block):
                printed = printed_by(command)
                assert missing(as_promised(promised), printed) == "", printed
                followed += 1
    return followed


def missing(expected: str, printed: str) -> str:
    """The first line that a page promises and that was not printed in this order; empty: all were."""
    left = iter(map(_plain, printed.splitlines()))
    for line in filter(str.strip, expected.splitlines()):
        pattern = re.compile(".*".join(map(re.escape, _plain(line).split(ANYTHING))))
        if not any(pattern.fullmatch(each) for each in left):
            return line
    return ""


def _plain(line: str) -> str:
    """Columns are as wide as what stands in them."""
    return " ".join(line.split())
