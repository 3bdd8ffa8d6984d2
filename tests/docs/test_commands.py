"""What a page tells its readers to type works: its files are written, and its commands run, in the order of the page.

Taken are blocks with a title, and lines that begin with `$ ` in blocks of the language console: our command, and `helm
upgrade`, of which the values are tried without a cluster. Another command must say why it is not run. The lines below a
command are printed by it; where it does not end with 0, it says so: `# exit status 1`. Pages that take a cluster are
followed by tests/integration/test_pages.py.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from audit_operator.cli import main
from tests.chart.helm import VERSIONS, Helm
from tests.docs.blocks import ANYTHING, blocks, follow, missing
from tests.e2e.node.binaries import get
from tests.integration.test_pages import PAGES as WITH_A_CLUSTER

CHECKOUT = Path(__file__).parents[2]
DOCS = CHECKOUT / "docs"
PAGES = (
    "application-logs.md",
    "lint.md",
    "migration.md",
    "permissions.md",
    "platforms.md",
    "redaction.md",
    "replay.md",
    "testing.md",
)
_STATUS = re.compile(r" +# exit status (\d)$")
_COMMAND = re.compile(r"^(?:\$ |(?:audit-operator|kubectl|helm|make|curl) )", re.MULTILINE)
_OF_HELM_WITH_A_CLUSTER = {"--install", "--reuse-values", "--wait"}


def run(command, folder, capsys):
    """What a command prints that ends as it says."""
    status = int(found[1]) if (found := _STATUS.search(command)) else 0
    words, _, target = _STATUS.sub("", command).partition(" > ")
    assert main(shlex.split(words)[1:]) == status, command
    printed = capsys.readouterr().out
    assert printed, command
    if target:
        (folder / target).write_text(printed)
    return printed


def render(command, folder):
    program, action, *arguments = shlex.split(command)
    assert (program, action) == ("helm", "upgrade"), command
    arguments = [each for each in arguments if each not in _OF_HELM_WITH_A_CLUSTER]
    printed = Helm(get(VERSIONS["Helm 4"]), folder).run("template", *arguments).stdout
    assert "kind: Deployment" in printed
    return printed


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_followed_literally(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "audit-operator").symlink_to(CHECKOUT)

    def printed_by(command):
        return render(command, tmp_path) if command.startswith("helm ") else run(command, tmp_path, capsys)

    assert follow(DOCS / page, tmp_path, printed_by, as_promised=str)


@pytest.mark.parametrize("page", [CHECKOUT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda page: page.name)
def test_no_upgrade_drops_what_an_earlier_one_has_set(page):
    for command in re.findall(r"^(?:\$ )?helm upgrade .*", page.read_text(), flags=re.MULTILINE):
        assert {"--reuse-values", "--values", "-f"} & set(command.split()), command


ALL = [*sorted(DOCS.rglob("*.md")), CHECKOUT / "README.md", CHECKOUT / "charts/audit-operator/README.md"]


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_a_reason_for_not_running_stands_at_a_command(page):
    assert page.read_text().count("<!-- not run: ") == sum(bool(each.reason) for each in blocks(page))


def test_no_page_has_a_command_that_nothing_follows():
    followed = {DOCS / each for each in PAGES} | {CHECKOUT / each for each in WITH_A_CLUSTER}
    followed |= {CHECKOUT / "charts/audit-operator/README.md", DOCS / "getting-started.md"}
    unfollowed = [
        f"{page.relative_to(CHECKOUT)}:{block.line}"
        for page in ALL
        for block in blocks(page)
        if not block.reason
        and _COMMAND.search(block.text)
        and not (block.kind in {"console", "sh"} and page in followed)
    ]
    assert unfollowed == []


@pytest.mark.parametrize(
    ("expected", "printed", "lacking"),
    [
        ("a   b\n", "first\na b\nlast\n", ""),
        (f"a {ANYTHING} c\n", "a b b c\n", ""),
        (f"{ANYTHING}c\n", "a b\n", f"{ANYTHING}c"),
        ("one\ntwo\n", "two\none\n", "two"),
        ("a.c\n", "abc\n", "a.c"),
        ("\n", "", ""),
    ],
    ids=["columns", "anything", "another end", "another order", "no pattern", "nothing"],
)
def test_what_a_page_promises_to_be_printed_is_compared_by_line(expected, printed, lacking):
    assert missing(expected, printed) == lacking
