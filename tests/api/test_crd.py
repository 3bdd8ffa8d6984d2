from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from audit_operator.api.crd import crd, drift, main, render_crds
from audit_operator.api.kinds import KINDS
from audit_operator.api.schema import openapi_schema
from tests.api.objects import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CRDS = ROOT / "crds"
Node = dict[str, Any]


def nodes(schema: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every schema below a schema, with the path of its field."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


def below_spec_and_status(kind: str) -> list[tuple[str, Node]]:
    return [(path, node) for path, node in nodes(openapi_schema(kind)) if path.startswith((".spec", ".status"))]


def test_the_files_are_what_the_models_say() -> None:
    assert drift(CRDS) == []


def test_a_changed_missing_or_left_over_file_is_drift(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--write", str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    first, second, *_ = sorted(tmp_path.iterdir())
    first.write_text("changed", encoding="utf-8")
    second.unlink()
    (tmp_path / "old.yaml").write_text("", encoding="utf-8")
    assert drift(tmp_path) == sorted([first.name, second.name, "old.yaml"])
    assert main(["--check", str(tmp_path)]) == 1
    assert first.name in capsys.readouterr().err


def test_the_text_is_always_the_same_and_reads_back() -> None:
    rendered = render_crds()
    assert rendered == render_crds()
    for text, model in zip(rendered.values(), KINDS.values(), strict=True):
        assert yaml.load(text, Loader=yaml.CSafeLoader) == crd(model)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_described(kind: str) -> None:
    undescribed = [
        path
        for path, node in below_spec_and_status(kind)
        if not path.endswith(("[]", "{}")) and not node.get("description", "").endswith(".")
    ]
    assert undescribed == []


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_bounded(kind: str) -> None:
    unbounded = [
        path
        for path, node in below_spec_and_status(kind)
        if (node["type"] == "string" and not ({"maxLength", "enum"} & node.keys()))
        or (node["type"] == "array" and "maxItems" not in node)
        or ("additionalProperties" in node and "maxProperties" not in node)
    ]
    assert unbounded == []


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_are_structural(kind: str) -> None:
    allowed = {
        "additionalProperties", "default", "description", "enum", "format", "items", "maxItems", "maxLength", "maximum",
        "maxProperties", "minItems", "minLength", "minimum", "pattern", "properties", "required", "type",
        "x-kubernetes-list-map-keys", "x-kubernetes-list-type", "x-kubernetes-map-type", "x-kubernetes-validations",
    }  # fmt: skip
    for path, node in nodes(openapi_schema(kind)):
        assert node.keys() <= allowed, path
        assert isinstance(node["type"], str), path
        assert not ("properties" in node and "additionalProperties" in node), path


@pytest.mark.parametrize("kind", KINDS)
def test_every_list_says_how_it_is_merged(kind: str) -> None:
    for path, node in below_spec_and_status(kind):
        if node["type"] != "array":
            continue
        merge = node["x-kubernetes-list-type"]
        assert (merge == "map") == ("x-kubernetes-list-map-keys" in node), path
        for key in node.get("x-kubernetes-list-map-keys", ()):
            assert key in node["items"]["required"], path


@pytest.mark.parametrize("kind", KINDS)
def test_status_takes_words_that_a_newer_operator_may_use(kind: str) -> None:
    assert not [path for path, node in below_spec_and_status(kind) if path.startswith(".status") and "enum" in node]


@pytest.mark.parametrize("kind", KINDS)
def test_status_has_no_floats(kind: str) -> None:
    assert "number" not in {node["type"] for _, node in below_spec_and_status(kind)}


@pytest.mark.parametrize(("kind", "names"), [
    ("AuditPolicy", ("auditpolicies", "aup", "Namespaced")),
    ("ClusterAuditPolicy", ("clusterauditpolicies", "caup", "Cluster")),
    ("AuditSink", ("auditsinks", "asink", "Namespaced")),
    ("ClusterAuditSink", ("clusterauditsinks", "casink", "Cluster")),
    ("AuditControlPlane", ("auditcontrolplanes", "acp", "Cluster")),
])  # fmt: skip
def test_kinds_are_served_under_their_documented_names(kind: str, names: tuple[str, str, str]) -> None:
    spec = crd(KINDS[kind])["spec"]
    assert (spec["names"]["plural"], *spec["names"]["shortNames"], spec["scope"]) == names
    assert spec["names"]["categories"] == ["audit"]
    assert spec["versions"][0]["subresources"] == {"status": {}}
