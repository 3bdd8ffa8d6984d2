"""Every command of ours that is shown anywhere can be typed as it stands: no option is invented, none misspelt."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from audit_operator.cli.main import command_line

CHECKOUT = Path(__file__).parents[2]
PAGES = [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md"), *(CHECKOUT / "charts").rglob("*.md")]
_FENCE = re.compile(r"^( *)```\w*.*?\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_OURS = re.compile(r"^(?:audit-operator|kubectl audit-policy) +")


def commands(text):
    """Our commands in the blocks of a page, without prompts, what is said beside them, and where they are led to."""
    for block in _FENCE.finditer(text):
        for line in re.sub(r" *\\\n *", " ", block["text"]).splitlines():
            shown = line.strip().removeprefix("$ ")
            for part in re.split(r" [|] | && ", shown):
                if found := _OURS.match(part.strip()):
                    yield words(part.strip()[found.end() :])


def words(typed):
    """Up to a comment, a redirection, or what stands in a further column."""
    return re.split(r"(?:^| )(?:#|\d?>|;|<<<?)|  +", typed + " ", maxsplit=1)[0].strip()


def test_what_stands_beside_a_command_is_none_of_it():
    lines = [
        "$ audit-operator lint a.yaml   # why",
        "audit-operator report  of the cluster",
        "x | audit-operator seal b > c",
    ]
    split = ["audit-operator diff \\", "  --from a"]
    page = "\n".join(["```", *lines, *split, "```"])
    assert list(commands(page)) == ["lint a.yaml", "report", "seal b", "diff --from a"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_commands_can_be_typed_as_they_are_shown(page, capsys):
    parser = command_line("audit-operator")
    refused = {}
    for typed in commands(page.read_text(encoding="utf-8")):
        try:
            parser.parse_args(shlex.split(typed))
        except (SystemExit, ValueError) as error:
            if getattr(error, "code", 2) != 0:
                refused[typed] = capsys.readouterr().err.splitlines()[-1:] or [str(error)]
    assert refused == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_commands_that_are_named_in_a_sentence_are_there(page):
    known = re.findall(r"^## audit-operator (.+)$", (CHECKOUT / "docs/reference/cli.md").read_text(), re.MULTILINE)
    named = re.findall(r"`(?:audit-operator|kubectl audit-policy) ([a-z]+(?: [a-z]+)?)", page.read_text())
    unknown = [each for each in named if each not in known and each.split()[0] not in known]
    assert unknown == []
