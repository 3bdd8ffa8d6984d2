"""What is in the image: enough to run, and nothing that was not asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from audit_operator.controlplane.assets import OTELCOL_VERSION
from tools.image import debian

if TYPE_CHECKING:
    from tests.image.conftest import RootFileSystem

ROOT = Path(__file__).parents[2]
PYTHON = f"/usr/bin/{debian.PYTHON}"
UNCHECKED_HASH = 0b01  # PEP 552


@pytest.mark.parametrize("command", [[], ["run"], ["agent"], ["rollout"], ["coverage"]], ids=" ".join)
def test_commands_run(root: RootFileSystem, command: list[str]) -> None:
    assert root.run("audit-operator", *command, "--help").startswith("usage: audit-operator")


def test_the_collector_runs_and_knows_its_components(root: RootFileSystem) -> None:
    version = root.run("otelcol", "--version").split()[-1]
    assert f"v{version}" == OTELCOL_VERSION
    assert "name: lookup" in root.run("otelcol", "components")


def test_everything_that_the_operator_imports_is_there(root: RootFileSystem) -> None:
    root.run(PYTHON, "-I", "-c", "import audit_operator.application, audit_operator.cli.main, kopf, kubernetes.aio")


def test_it_holds_the_locked_dependencies_and_no_others(root: RootFileSystem) -> None:
    listing = "import json, importlib.metadata as m; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    installed = {_normal(name): version for name, version in json.loads(root.run(PYTHON, "-I", "-c", listing)).items()}
    locked = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    project = root.run("audit-operator", "--version").split()[-1]
    assert installed == {**{_normal(name): version for name, version in locked.items()}, "audit-operator": project}


def test_its_debian_packages_are_listed_for_scanners(root: RootFileSystem) -> None:
    listed = {each.name: each.read_text() for each in (root.folder / "var/lib/dpkg/status.d").iterdir()}
    assert listed.keys() == set(debian.PACKAGES)
    assert all(re.search(r"^Version: \S+$", text, re.MULTILINE) for text in listed.values())
    without_licence = [name for name in listed if not (root.folder / "usr/share/doc" / name / "copyright").is_file()]
    assert without_licence == []


def test_there_is_no_shell_and_no_other_program(root: RootFileSystem) -> None:
    programs = [each.name for folder in ("usr/bin", "usr/local/bin") for each in (root.folder / folder).iterdir()]
    assert sorted(programs) == ["audit-operator", "otelcol", debian.PYTHON]
    assert not (root.folder / "usr/sbin").exists()


def test_every_shared_library_finds_those_it_needs(root: RootFileSystem) -> None:
    loader = next(each for each in (root.folder / "usr").glob("lib*/ld-linux*"))
    libraries = [each for each in root.folder.rglob("*.so*") if not each.is_symlink() and "ossl" not in str(each)]
    assert len(libraries) > 50
    needed = root.run(
        PYTHON,
        "-I",
        "-c",
        "import subprocess, sys\n"
        f"for each in sys.argv[1:]: subprocess.run(['/{loader.relative_to(root.folder)}', '--list', each], check=True)",
        *(f"/{each.relative_to(root.folder)}" for each in libraries if not each.name.startswith("ld-linux")),
    )
    assert "not found" not in needed


def test_every_module_is_compiled_and_needs_no_look_at_its_source(root: RootFileSystem) -> None:
    site = root.folder / "usr/local/lib" / debian.PYTHON / "dist-packages"
    sources = set((site / "audit_operator").rglob("*.py"))
    compiled = {
        path.parent.parent / f"{path.name.split('.')[0]}.py" for path in (site / "audit_operator").rglob("*.pyc")
    }
    assert sources == compiled
    flags = {int.from_bytes(path.read_bytes()[4:8], "little") for path in root.folder.rglob("*.pyc")}
    assert flags == {UNCHECKED_HASH}


def test_tracebacks_name_the_files_of_the_image(root: RootFileSystem) -> None:
    for module in ("kopf", "audit_operator.settings", "json"):
        code = f"import {module} as m; print(m.__spec__.loader.get_code(m.__name__).co_filename == m.__file__)"
        assert root.run(PYTHON, "-I", "-c", code) == "True\n"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
