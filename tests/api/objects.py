"""Objects that several tests share: wrong ones from the table, and the samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from audit_operator.api.kinds import KINDS
from audit_operator.api.resource import API_VERSION

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "manifests" / "samples"


@dataclass(frozen=True, slots=True)
class WrongObject:
    """An object that must be refused, and the field that must be named."""

    name: str
    document: dict[str, Any]
    path: str

    def __str__(self) -> str:
        return self.name


def document(kind: str, spec: Any, name: str = "example", namespace: str = "default") -> dict[str, Any]:
    """An object of one of our kinds."""
    metadata = {"name": name} | ({"namespace": namespace} if KINDS[kind].info.namespaced else {})
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def wrong_objects() -> list[WrongObject]:
    """The table in wrong_objects.yaml."""
    table = yaml.safe_load(Path(__file__).with_name("wrong_objects.yaml").read_text(encoding="utf-8"))
    return [WrongObject(each["name"], document(each["kind"], each["spec"]), each["path"]) for each in table]


def sample_files() -> list[Path]:
    """The files in manifests/samples."""
    return sorted(SAMPLES.glob("*.yaml"))


def sample_documents() -> list[dict[str, Any]]:
    """The objects of our kinds in the samples."""
    documents = (each for file in sample_files() for each in yaml.safe_load_all(file.read_text(encoding="utf-8")))
    return [each for each in documents if each["apiVersion"] == API_VERSION]
