"""The reference pages say all of what the programs do, and are as these write them now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from audit_operator.api.kinds import KINDS
from audit_operator.api.schema import openapi_schema
from audit_operator.cli.main import COMMANDS, command_line
from tests.api.objects import sample_documents
from tools.reference.__main__ import pages, stale

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


@pytest.fixture(scope="module")
def written():
    return pages()


def test_pages_are_as_the_programs_write_them_now():
    assert stale(FOLDER) == [], "run `make docs`"


def test_a_page_that_nothing_writes_any_more_is_named(tmp_path, written):
    for name, text in written.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "formerkind.md").write_text("# FormerKind\n")
    assert stale(tmp_path) == ["formerkind.md"]


def leaves(node, path=""):
    """Every field of a schema, by its path."""
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}".lstrip("."), child
        yield from leaves(child, f"{path}.{name}")
    if "items" in node:
        yield from leaves(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from leaves(node["additionalProperties"], f"{path}{{}}")


def fields_in(page):
    """Every field of a page, by its path, with the row that tells about it."""
    heading = ""
    for line in page.splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        elif found := re.match(r"\| `(\w+)`", line):
            yield f"{heading}.{found[1]}", line


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_there_with_its_words_and_its_default(kind, written):
    schema = openapi_schema(kind)["properties"]
    wanted = dict(leaves({"properties": {name: schema[name] for name in ("spec", "status")}}))
    told = dict(fields_in(written[f"{kind.lower()}.md"]))
    assert told.keys() == wanted.keys() - {"spec", "status"}
    for path, row in told.items():
        assert " ".join(wanted[path].get("description", "").split()) in row.replace("\\|", "|")
        if isinstance(wanted[path].get("default"), str):
            assert f'| `"{wanted[path]["default"]}"` |' in row


def test_what_values_must_keep_to_is_said(written):
    fields = dict(fields_in(written["auditcontrolplane.md"]))
    assert "*1 or more; 3650 or less.*" in fields["spec.log.maxAge"]
    assert "*One of `Blocking`, `BlockingStrict`, `Batch`.*" in fields["spec.log.mode"]
    assert fields["spec.driver"].startswith("| `driver` *required* | string |")
    assert "*At most 256 characters; matches `^/var/log(" in fields["spec.log.path"]
    assert "\n* `observe` " in written["auditcontrolplane.md"], "what fields ask of each other stands below their table"


@pytest.mark.parametrize("kind", KINDS)
def test_every_sample_of_a_kind_is_shown(kind, written):
    names = [each["metadata"]["name"] for each in sample_documents() if each["kind"] == kind]
    assert written[f"{kind.lower()}.md"].count("```yaml") == len(names) > 0


def test_every_command_is_there_with_its_options_and_examples(written):
    page = written["cli.md"]
    assert len(re.findall(r"^## audit-operator \w+$", page, re.MULTILINE)) == len(COMMANDS)
    assert len(re.findall(r"^```text$", page, re.MULTILINE)) >= len(COMMANDS)
    compiling = page.partition("## audit-operator compile\n")[2].partition("\n## ")[0]
    assert "| `--precision Exact\\|Envelope` |" in compiling
    assert "| `-f PATH`, `--filename PATH` |" in compiling
    assert "audit-operator compile -f policies/" in compiling


def test_no_command_is_without_a_summary(written):
    del written
    helps = command_line("audit-operator").format_help()
    assert "\n    None" not in helps
    for row in re.findall(r"^\| \[`.*$", pages()["cli.md"], re.MULTILINE):
        assert not row.endswith("|  |"), row
