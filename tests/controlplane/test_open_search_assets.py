"""OpenSearch comes as jars, byte for byte those that were chosen, or not at all."""

from __future__ import annotations

import hashlib
import re

import pytest

from audit_operator.controlplane.assets.go_build import CHECKOUT_TOOLS
from audit_operator.controlplane.assets.open_search import provide_open_search
from audit_operator.controlplane.assets.source import SourceFailed

PLACES = {"core-1.jar": "lib/core-1.jar", "netty-4.jar": "modules/transport/netty-4.jar"}
MAVEN = """#!/bin/sh
echo run >> "{runs}"
for each; do case $each in -DoutputDirectory=*) folder=${{each#*=}};; esac; done
mkdir -p "$folder"
{body}
"""


@pytest.fixture
def world(tmp_path):
    """Tools that name two jars, a Maven that brings them, and where it is said what was done."""
    tools, programs = tmp_path / "tools", tmp_path / "bin"
    (tools / "modules" / "transport").mkdir(parents=True)
    (tools / "modules" / "transport" / "plugin-descriptor.properties").write_text("name=transport")
    (tools / "VERSION").write_text("1.2.3\n")
    lines = [f"{hashlib.sha256(name.encode()).hexdigest()}  {place}" for name, place in PLACES.items()]
    (tools / "jars.sha256").write_text("\n".join(lines) + "\n")
    programs.mkdir()
    return World(tmp_path, tools, programs)


class World:
    def __init__(self, folder, tools, programs):
        self.folder, self.tools, self.programs = folder, tools, programs
        self.runs = folder / "runs"
        self.program("java", "#!/bin/sh\n")
        self.maven(*(f'printf %s {name} > "$folder/{name}"' for name in PLACES))

    def program(self, name, text):
        path = self.programs / name
        path.write_text(text)
        path.chmod(0o755)

    def maven(self, *lines):
        self.program("mvn", MAVEN.format(runs=self.runs, body="\n".join(lines)))

    def provide(self):
        environ = {"PATH": f"{self.programs}:/usr/bin:/bin", "AUDIT_OPERATOR_CACHE": f"{self.folder}/cache"}
        return provide_open_search(environ=environ, report=lambda _line: None, tools=self.tools)

    def times(self):
        return len(self.runs.read_text().splitlines())


def test_jars_lie_where_a_node_looks_for_them_and_are_fetched_once(world):
    got = world.provide()
    assert got == world.provide()
    assert {str(each.relative_to(got.home)) for each in got.home.rglob("*") if each.is_file()} == {
        *PLACES.values(),
        "modules/transport/plugin-descriptor.properties",
    }
    assert got.java == world.programs / "java"
    assert world.times() == 1


def test_a_jar_that_was_damaged_is_fetched_again(world):
    jar = world.provide().home / "lib" / "core-1.jar"
    jar.write_text("damaged")
    world.provide()
    assert jar.read_text() == "core-1.jar"
    assert world.times() == 2


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['printf %s core-1.jar > "$folder/core-1.jar"'], "did not bring netty-4.jar"),
        ([f'printf other > "$folder/{name}"' for name in PLACES], "is not what jars.sha256 names"),
        ([f'printf %s {name} > "$folder/{name}"' for name in (*PLACES, "more.jar")], "more.jar"),
        (["echo no way there", "exit 1"], "no way there"),
    ],
)
def test_nothing_else_is_taken(world, lines, said):
    world.maven(*lines)
    with pytest.raises(SourceFailed, match=re.escape(said)):
        world.provide()
    assert not (world.folder / "cache" / "opensearch-1.2.3").exists()


@pytest.mark.parametrize(("missing", "package"), [("java", "openjdk-17-jre-headless"), ("mvn", "maven")])
def test_what_the_machine_lacks_is_named_with_its_package(world, missing, package, monkeypatch):
    (world.programs / missing).unlink()
    monkeypatch.setattr("shutil.which", lambda name, path: None if name == missing else f"{path}/{name}")
    with pytest.raises(SourceFailed, match=f"no {missing} .*{package}"):
        world.provide()


def test_the_jars_that_are_named_are_those_of_the_version_that_is_named():
    tools = CHECKOUT_TOOLS / "opensearch"
    version = (tools / "VERSION").read_text().strip()
    lines = (tools / "jars.sha256").read_text().splitlines()
    assert all(re.fullmatch(r"[0-9a-f]{64}  (lib|modules/transport-netty4)/[\w.-]+\.jar", line) for line in lines)
    assert any(line.endswith(f" lib/opensearch-{version}.jar") for line in lines)
    assert f"<version>{version}</version>" in (tools / "pom.xml").read_text()
    descriptor = (tools / "modules" / "transport-netty4" / "plugin-descriptor.properties").read_text()
    assert f"opensearch.version={version}" in descriptor
