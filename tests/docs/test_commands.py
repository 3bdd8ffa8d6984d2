"""What a page tells its readers to type works: its files are written, and its commands run, in the order of the page.

Taken are blocks of YAML with a title, and in blocks of the language console, lines that begin with `$ audit-operator`.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from audit_operator.cli import main

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("migration.md", "testing.md")
_BLOCK = re.compile(
    r"^```(?P<kind>yaml|console)(?: title=(?P<file>\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


def steps(page):
    for block in _BLOCK.finditer((DOCS / page).read_text()):
        if block["file"]:
            yield block["file"], block["text"]
        elif block["kind"] == "console":
            yield from (("", line[2:]) for line in block["text"].splitlines() if line.startswith("$ audit-operator "))


def run(command, folder, capsys):
    words, _, target = command.partition(" > ")
    assert main(shlex.split(words)[1:]) == 0, command
    printed = capsys.readouterr().out
    assert printed, command
    if target:
        (folder / target).write_text(printed)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_followed_literally(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    followed = 0
    for file, text in steps(page):
        if file:
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).write_text(text)
        else:
            run(text, tmp_path, capsys)
            followed += 1
    assert followed
