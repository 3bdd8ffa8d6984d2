"""The Dockerfile, as far as it can be judged without a container engine: it makes what `make image` makes."""

from __future__ import annotations

import json
import re

from tests.image.conftest import ROOT, SOURCES
from tools.image import build, rootfs

TEXT = (ROOT / "operator" / "Dockerfile").read_text()


def test_it_takes_what_the_archive_is_made_of_and_nothing_else() -> None:
    copied = {source for line in re.findall(r"^COPY (?!--)(.+) \S+$", TEXT, re.MULTILINE) for source in line.split()}
    ignore = (ROOT / "operator" / "Dockerfile.dockerignore").read_text()
    assert copied == set(SOURCES)
    assert set(re.findall(r"^!(\S+)$", ignore, re.MULTILINE)) == set(SOURCES)


def test_its_configuration_is_the_archives() -> None:
    config = build.image("localhost/audit-operator:test").config
    assert json.loads(re.search(r"^ENTRYPOINT (.+)$", TEXT, re.MULTILINE)[1]) == config["Entrypoint"]
    assert re.search(r"^USER (.+)$", TEXT, re.MULTILINE)[1] == config["User"] == f"{rootfs.USER}:{rootfs.USER}"
    assert re.search(r"^ENV (.+)$", TEXT, re.MULTILINE)[1].split() == config["Env"]
