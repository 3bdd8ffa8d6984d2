"""Binaries come from the first source that has them, and are never half there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from audit_operator.controlplane.assets.__main__ import main
from audit_operator.controlplane.assets.asset import (
    ETCD_VERSION,
    KUBERNETES_VERSION,
    OTELCOL_VERSION,
    VICTORIA_LOGS_VERSION,
    Asset,
    Tool,
    parse_version,
)
from audit_operator.controlplane.assets.cache import Cache, cache_folder, sha256_of
from audit_operator.controlplane.assets.go_build import CHECKOUT_TOOLS
from audit_operator.controlplane.assets.provide import AssetsUnavailable, Provider
from audit_operator.controlplane.assets.source import SourceFailed

ASSET = Asset(Tool.ETCD, "v3.6.16")
SCRIPT = "#!/bin/sh\necho 'etcd Version: {version}'\n"


def written(folder, version="3.6.16", name="etcd"):
    path = folder / name
    path.write_text(SCRIPT.format(version=version))
    path.chmod(0o755)
    return path


class FakeSource:
    """Provides a script that says a version, or fails."""

    def __init__(self, version="3.6.16", failure=""):
        self.version, self.failure, self.calls = version, failure, 0

    def __call__(self, _asset, work, _report):
        self.calls += 1
        if self.failure:
            raise SourceFailed(self.failure)
        return written(work, self.version)


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def provider(cache, release, build, environ=None):
    return Provider({"PATH": "", **(environ or {})}, cache, release=release, build=build, report=lambda _line: None)


def test_what_is_downloaded_once_is_found_in_the_cache(cache):
    release, build = FakeSource(), FakeSource()
    first = provider(cache, release, build).get(ASSET)
    assert first == provider(cache, release, build).get(ASSET)
    assert (release.calls, build.calls) == (1, 0)
    assert first.is_relative_to(cache.folder)


def test_what_cannot_be_downloaded_is_built(cache):
    release, build = FakeSource(failure="no network"), FakeSource()
    provider(cache, release, build).get(ASSET)
    assert (release.calls, build.calls) == (1, 1)


def test_a_binary_of_another_version_is_not_taken(cache):
    release, build = FakeSource(version="3.5.0"), FakeSource()
    provider(cache, release, build).get(ASSET)
    assert build.calls == 1


def test_another_set_of_components_of_the_same_release_is_built_anew(cache):
    build = FakeSource("0.157.0+1")
    first, second = (
        provider(cache, FakeSource(failure="none"), build).get(Asset(Tool.OTELCOL, version))
        for version in ("v0.157.0+1", "v0.157.0+2")
    )
    assert first != second
    assert build.calls == 2


@pytest.mark.parametrize(
    ("tool", "wanted", "found", "suits"),
    [
        (Tool.OTELCOL, "v0.157.0+1", "v0.157.0", True),
        (Tool.OTELCOL, "v0.157.0+1", "v0.158.0", False),
        (Tool.VICTORIA_LOGS, "v1.52.1", "v1.52.1", True),
        (Tool.VICTORIA_LOGS, "v1.52.1", "v1.53.0", True),
        (Tool.VICTORIA_LOGS, "v1.52.1", "v1.52.0", False),
        (Tool.VICTORIA_LOGS, "v1.52.1", "v2.0.0", False),
    ],
)
def test_what_is_installed_is_taken_where_its_version_suits(tool, wanted, found, suits):
    assert Asset(tool, wanted).suits(parse_version(found)) is suits


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("victoria-logs-20260701-120000-tags-v1.52.1-0-g0123456789", "v1.52.1"),
        ("otelcol version 0.157.0+1", "v0.157.0"),
        ("", "None"),
    ],
)
def test_a_version_is_found_in_what_a_binary_says(said, version):
    assert str(parse_version(said)) == version


def test_a_damaged_file_is_found_and_replaced(cache):
    release, build = FakeSource(), FakeSource()
    path = provider(cache, release, build).get(ASSET)
    path.write_text(path.read_text()[:10])
    again = provider(cache, release, build).get(ASSET)
    assert release.calls == 2
    assert "3.6.16" in again.read_text()


def test_a_folder_of_the_users_comes_first(cache, tmp_path):
    written(tmp_path)
    release = FakeSource()
    found = provider(cache, release, FakeSource(), {"KUBEBUILDER_ASSETS": str(tmp_path)}).get(ASSET)
    assert found == tmp_path / "etcd"
    assert release.calls == 0


def test_where_nothing_helps_the_error_names_what_was_tried_and_the_mend(cache):
    with pytest.raises(AssetsUnavailable) as error:
        provider(cache, FakeSource(failure="no network"), FakeSource(failure="no go")).get(ASSET)
    for expected in ("no network", "no go", "KUBEBUILDER_ASSETS"):
        assert expected in str(error.value)


def test_nothing_is_left_of_an_attempt_that_was_killed(cache):
    cache.folder.mkdir()
    leftover = cache.folder / f".{ASSET.name}.tmp-dead"
    leftover.mkdir()
    provider(cache, FakeSource(), FakeSource()).get(ASSET)
    assert not leftover.exists()
    assert [each.name for each in cache.folder.iterdir() if not each.name.startswith(".")] == [ASSET.name]


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(AssetsUnavailable):
        provider(Cache(tmp_path / "cache"), FakeSource(), FakeSource()).get(ASSET)


@pytest.mark.parametrize(
    ("words", "tools"),
    [([], ["etcd", "kube-apiserver", "kubectl"]), (["shipping"], ["otelcol", "victoria-logs"])],
)
def test_what_ships_events_is_provided_only_where_it_is_asked_for(tmp_path, monkeypatch, capsys, words, tools):
    installed = tmp_path / "installed"
    installed.mkdir()
    versions = {
        Tool.ETCD: ETCD_VERSION,
        Tool.KUBE_APISERVER: KUBERNETES_VERSION,
        Tool.KUBECTL: KUBERNETES_VERSION,
        Tool.OTELCOL: OTELCOL_VERSION,
        Tool.VICTORIA_LOGS: VICTORIA_LOGS_VERSION,
    }
    for tool, version in versions.items():
        written(installed, version, tool)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(installed))
    monkeypatch.setenv("AUDIT_OPERATOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", ["assets", *words])
    assert main() == 0
    folder = Path(capsys.readouterr().out.strip())
    assert sorted(each.name for each in folder.iterdir()) == tools
    assert all(each.resolve().parent == installed for each in folder.iterdir())


def test_the_image_gets_the_collector_that_was_built_and_never_an_installed_one(tmp_path, monkeypatch, capsys):
    installed = tmp_path / "installed"
    installed.mkdir()
    written(installed, OTELCOL_VERSION, Tool.OTELCOL)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(installed))
    cache = Cache(tmp_path / "cache")
    monkeypatch.setenv("AUDIT_OPERATOR_CACHE", str(cache.folder))
    asset = Asset(Tool.OTELCOL, OTELCOL_VERSION)
    with cache.exclusive(asset, print) as work:
        built = cache.put(asset, written(work, OTELCOL_VERSION, Tool.OTELCOL))
    monkeypatch.setattr(sys, "argv", ["assets", "collector"])
    assert main() == 0
    folder = Path(capsys.readouterr().out.strip())
    assert {each.name: each.resolve() for each in folder.iterdir()} == {"otelcol": built}


PROVIDE = """
import sys, time
from pathlib import Path
sys.path[:0] = {path!r}
from tests.controlplane.test_assets import ASSET, FakeSource, provider
from audit_operator.controlplane.assets.cache import Cache
class Slow(FakeSource):
    def __call__(self, *arguments):
        Path({log!r}).open("a").write("x")
        time.sleep(0.5)
        return super().__call__(*arguments)
print(provider(Cache(Path({cache!r})), Slow(), FakeSource()).get(ASSET))
"""


def test_two_processes_at_once_do_the_work_once(cache, tmp_path):
    log = tmp_path / "log"
    program = PROVIDE.format(path=sys.path, log=str(log), cache=str(cache.folder))
    running = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)  # noqa: S603 - ourselves
        for _ in range(2)
    ]
    outputs = {process.communicate(timeout=60)[0].strip() for process in running}
    assert len(outputs) == 1
    assert Path(outputs.pop()).exists()
    assert log.read_text() == "x"


def test_the_cache_is_outside_of_the_checkout_unless_told_otherwise(tmp_path):
    assert cache_folder({"AUDIT_OPERATOR_CACHE": str(tmp_path)}) == tmp_path
    assert cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/audit-operator")
    assert cache_folder({}) == Path.home() / ".cache" / "audit-operator"


def test_a_checksum_is_that_of_the_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_what_is_wanted_can_be_built_from_the_checkout():
    def pinned(module):
        return (CHECKOUT_TOOLS / module / "VERSION").read_text().strip()

    assert (pinned("k8s"), pinned("etcd")) == (KUBERNETES_VERSION, ETCD_VERSION)
    assert (pinned("otelcol"), pinned("victorialogs")) == (OTELCOL_VERSION, VICTORIA_LOGS_VERSION)
    assert f'Version:     "{OTELCOL_VERSION.removeprefix("v")}"' in (CHECKOUT_TOOLS / "otelcol/main.go").read_text()
    victoria_logs = f"github.com/VictoriaMetrics/VictoriaLogs {VICTORIA_LOGS_VERSION}\n"
    assert victoria_logs in (CHECKOUT_TOOLS / "victorialogs/go.mod").read_text()
    for version in CHECKOUT_TOOLS.glob("k8s*/VERSION"):
        assert f"k8s.io/kubernetes {version.read_text().strip()}\n" in (version.parent / "go.mod").read_text()
