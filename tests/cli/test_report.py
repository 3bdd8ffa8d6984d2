"""`report` as people and scripts use it."""

from __future__ import annotations

import json
import stat

import pytest

from audit_operator.cli import main

OBJECTS = """apiVersion: audit-operator.dev/v1alpha1
kind: ClusterAuditPolicy
metadata: {name: base}
spec: {preset: %s}
---
apiVersion: v1
kind: Namespace
metadata: {name: payments}
"""


@pytest.fixture
def objects(tmp_path):
    folder = tmp_path / "objects"
    folder.mkdir()
    (folder / "p.yaml").write_text(OBJECTS % "Baseline")
    return folder


def test_a_report_is_written_for_its_owner_alone(objects, tmp_path, capsys):
    target = tmp_path / "report.json"
    assert main(["report", "-f", str(objects), "-o", "json", "--output", str(target)]) == 0
    assert capsys.readouterr().out == ""
    report = json.loads(target.read_text())
    assert report["kind"] == "AuditReport"
    assert report["counts"]["gaps"] == report["counts"]["leaks"] == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["objects", "report.json"]


def test_a_later_report_says_what_got_worse(objects, tmp_path, capsys):
    first = tmp_path / "first.json"
    assert main(["report", "-f", str(objects), "-o", "json", "--output", str(first)]) == 0
    (objects / "p.yaml").write_text((OBJECTS % "Baseline").replace("preset: Baseline", "rules: [{level: Metadata}]"))
    assert main(["report", "-f", str(objects), "-o", "json", "--since-report", str(first)]) == 0
    changes = json.loads(capsys.readouterr().out)["trend"]["changes"]
    assert any(each["before"] == "Covered" and each["after"] == "Gap" for each in changes)


def test_one_namespace_is_reported_on_alone_and_a_misspelt_one_is_said_to_be_unknown(objects, capsys):
    assert main(["report", "-f", str(objects), "-o", "json", "-n", "payment"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [each["namespaces"] for each in report["groups"]] == [["payment"]]
    assert [each["id"] for each in report["remarks"]] == ["namespace-not-found"]


def test_markdown_goes_to_standard_output(objects, capsys):
    assert main(["report", "-f", str(objects), "-o", "md"]) == 0
    assert capsys.readouterr().out.startswith("# Audit coverage\n")


def test_what_is_no_report_and_what_cannot_be_written_is_wrong_usage(objects, tmp_path, capsys):
    (tmp_path / "x").write_text("{}")
    assert main(["report", "-f", str(objects), "--since-report", str(tmp_path / "x")]) == 2
    assert "cannot be compared with" in capsys.readouterr().err
    assert main(["report", "-f", str(objects), "-o", "md", "--output", str(tmp_path / "no" / "x")]) == 2
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["json", "md"])
def test_bytes_that_are_no_text_stop_no_report(objects, form, capsys):
    (objects / "broken.yaml").write_bytes(b"apiVersion: audit-operator.dev/v1alpha1\nkind: Ex\xff\xfe\x1b\n")
    assert main(["report", "-f", str(objects), "-o", form]) == 1
    assert "broken.yaml" in capsys.readouterr().out


def test_html_is_what_is_written_where_nothing_else_is_asked_for(objects, capsysbinary):
    assert main(["report", "-f", str(objects)]) == 0
    assert capsysbinary.readouterr().out.startswith(b"<!DOCTYPE html>")


def test_a_pdf_without_a_browser_says_what_to_install(objects, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["report", "-f", str(objects), "-o", "pdf", "--output", str(tmp_path / "x.pdf")]) == 2
    assert "install" in capsys.readouterr().err
    assert main(["report", "-f", str(objects), "-o", "pdf"]) == 2
    assert "--output" in capsys.readouterr().err
