"""The Dockerfile, as far as it can be judged without a container engine: it makes what `make image` makes."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from audit_operator.controlplane.assets import go_build
from tests.image.conftest import ROOT, SOURCES
from tools.image import build, rootfs

COLLECTOR = "tools/otelcol"
TEXT = (ROOT / "operator" / "Dockerfile").read_text()


def test_it_takes_what_the_archive_is_made_of_and_nothing_else() -> None:
    copied = {source for line in re.findall(r"^COPY (?!--)(.+) \S+$", TEXT, re.MULTILINE) for source in line.split()}
    ignore = (ROOT / "operator" / "Dockerfile.dockerignore").read_text()
    assert copied == {*SOURCES, COLLECTOR}
    assert set(re.findall(r"^!(\S+)$", ignore, re.MULTILINE)) == {*SOURCES, COLLECTOR}


def test_it_builds_the_collector_as_the_archives_is_built() -> None:
    [command] = re.findall(r"^RUN (CGO_ENABLED.+)$", TEXT, re.MULTILINE)
    environment, _, arguments = command.partition(" go ")
    built_with = go_build.environment()
    given = dict(each.split("=", 1) for each in shlex.split(environment))
    assert given == {name: built_with[name] for name in ("CGO_ENABLED", "GOWORK", "GOFLAGS")}
    assert shlex.split(arguments) == go_build.arguments(Path("/otelcol"), ".", [])
    assert f"COPY --from=collector /otelcol /{rootfs.COLLECTOR}\n" in TEXT


def test_its_configuration_is_the_archives() -> None:
    config = build.image("localhost/audit-operator:test").config
    assert json.loads(re.search(r"^ENTRYPOINT (.+)$", TEXT, re.MULTILINE)[1]) == config["Entrypoint"]
    assert re.search(r"^USER (.+)$", TEXT, re.MULTILINE)[1] == config["User"] == f"{rootfs.USER}:{rootfs.USER}"
    assert re.search(r"^ENV (.+)$", TEXT, re.MULTILINE)[1].split() == config["Env"]
