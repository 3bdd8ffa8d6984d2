"""A node's files and processes: real files in a folder, and a real process that looks like an API server."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from audit_operator.controlplane import os_process
from audit_operator.controlplane.os_process import ProcessIdentity
from audit_operator.controlplane.preflight import Verdict
from audit_operator.controlplane.static_pod import host as host_module
from audit_operator.controlplane.static_pod.host import NodeHost, Places, RunningServer

MANIFEST = "kube-apiserver.yaml"


@pytest.fixture
def places(tmp_path):
    places = Places(tmp_path / "agent", tmp_path / "manifests", tmp_path / "log")
    for folder in (places.folder, places.manifests, places.logs):
        folder.mkdir()
    return places


@pytest.fixture
def host(places):
    return NodeHost(places, probe=None)


def names(folder):
    return sorted(each.name for each in folder.iterdir())


# The manifest


def test_a_manifest_is_read_as_it_is(host, places):
    assert host.read_manifest(MANIFEST) is None
    (places.manifests / MANIFEST).write_bytes("# ü\r\nkind: Pod\n".encode())
    assert host.read_manifest(MANIFEST) == "# ü\r\nkind: Pod\n"


def test_what_is_staged_lies_beside_the_manifest_under_a_name_that_the_kubelet_ignores(host, places):
    (places.manifests / MANIFEST).write_text("before")
    host.stage(MANIFEST, ".next", "after")
    assert names(places.manifests) == [".kube-apiserver.yaml.next", MANIFEST]
    assert host.read_manifest(MANIFEST) == "before"
    assert host.read_manifest(".kube-apiserver.yaml.next") == "after"


def test_swapping_in_is_a_rename(host, places):
    (places.manifests / MANIFEST).write_text("before")
    host.stage(MANIFEST, ".next", "after")
    inode = (places.manifests / ".kube-apiserver.yaml.next").stat().st_ino
    host.swap_in(MANIFEST, ".next")
    assert names(places.manifests) == [MANIFEST]
    assert host.read_manifest(MANIFEST) == "after"
    assert (places.manifests / MANIFEST).stat().st_ino == inode


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_the_manifest_keeps_its_mode_and_its_owner(host, places, monkeypatch, mode):
    owners = []
    monkeypatch.setattr(host_module.os, "chown", lambda path, uid, gid: owners.append((Path(path).name, uid, gid)))
    (places.manifests / MANIFEST).write_text("before")
    (places.manifests / MANIFEST).chmod(mode)
    host.stage(MANIFEST, ".next", "after")
    host.swap_in(MANIFEST, ".next")
    assert stat.S_IMODE((places.manifests / MANIFEST).stat().st_mode) == mode
    assert owners == [(".kube-apiserver.yaml.next", os.getuid(), os.getgid())]


def test_what_was_staged_can_be_discarded_more_than_once(host, places):
    host.stage(MANIFEST, ".next", "after")
    host.discard(MANIFEST, ".next")
    host.discard(MANIFEST, ".next")
    assert names(places.manifests) == []


def test_swapping_in_what_is_not_there_changes_nothing(host, places):
    (places.manifests / MANIFEST).write_text("before")
    with pytest.raises(FileNotFoundError):
        host.swap_in(MANIFEST, ".previous")
    assert host.read_manifest(MANIFEST) == "before"


# The agent's folder


def test_files_of_the_agent_are_written_whole_and_removed(host, places):
    assert host.read("journal.json") is None
    host.write("journal.json", b"one")
    host.write("journal.json", b"two")
    assert host.read("journal.json") == b"two"
    host.remove("journal.json")
    host.remove("journal.json")
    assert names(places.folder) == []


def test_policies_can_be_read_by_an_api_server_that_is_not_root(host, places):
    digest = "a" * 64
    host.store_policy(digest, "the policy")
    [path] = places.policies.iterdir()
    assert path.name == f"policy-{digest}.yaml"
    assert path.read_text() == "the policy"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_the_latest_policies_and_those_that_are_needed_stay(host, places):
    by_age = [hashlib.sha256(bytes([number])).hexdigest() for number in range(9)]
    for age, digest in enumerate(by_age):
        host.store_policy(digest, digest)
        os.utime(places.policies / f"policy-{digest}.yaml", (1e9 - age, 1e9 - age))
    (places.policies / "somebody else's").touch()
    host.forget_policies_except({by_age[8]})
    kept = [f"policy-{digest}.yaml" for digest in (*by_age[:5], by_age[8])]
    assert names(places.policies) == sorted(["somebody else's", *kept])


def test_where_there_are_no_policies_there_is_nothing_to_forget(host):
    host.forget_policies_except(set())


# Room for logs


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def disk(monkeypatch):
    """Which folders were asked about; each has 1000 bytes free."""
    asked = []

    def usage(folder):
        asked.append(folder)
        return Usage(10_000, 9_000, 1_000)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    return asked


def test_a_log_may_take_what_is_free_and_what_its_files_take_already(host, places, disk):
    folder = places.logs / "kubernetes" / "audit"
    folder.mkdir(parents=True)
    (folder / "audit.log").write_bytes(b"x" * 70)
    (folder / "audit-2026-07-29T10-00-00.000.log").write_bytes(b"x" * 7)
    (folder / "other.log").write_bytes(b"x" * 500)
    assert host.free_for_logs("/var/log/kubernetes/audit/audit.log") == 1077
    assert disk == [folder]


def test_where_the_folder_is_not_there_yet_the_one_above_it_counts(host, places, disk):
    assert host.free_for_logs("/var/log/kubernetes/audit/audit.log") == 1000
    assert disk == [places.logs]


@pytest.mark.parametrize("path", ["/srv/audit.log", "-", "/var/logs/audit.log"])
def test_of_a_folder_that_the_agent_does_not_see_nothing_is_known(host, path):
    assert host.free_for_logs(path) is None


# The API server


PORT = 50_000 + os.getpid() % 10_000  # nobody listens there; it tells this process's children from those of others


@contextmanager
def api_server(*flags, program="kube-apiserver", port=PORT):
    """A process that has these arguments, and waits until its input ends."""
    arguments = [program, "-c", "read line", f"--secure-port={port}", *flags]
    child = subprocess.Popen(arguments, executable="/bin/sh", stdin=subprocess.PIPE)  # noqa: S603 - no input from elsewhere
    command_line = Path(f"/proc/{child.pid}/cmdline")
    while not command_line.read_bytes():  # the kernel shows it a moment after it has begun to run the program
        time.sleep(0.001)
    try:
        yield child
    finally:
        child.communicate(timeout=20)


def test_the_api_server_is_the_process_with_its_port(host):
    with api_server(port=PORT + 1), api_server() as child:
        found = host.server(PORT)
        assert found.process == os_process.identify(child.pid)
        assert found.policy_file == found.policy_digest == ""
    assert host.server(PORT) is None


def test_a_path_before_its_name_makes_no_difference_and_another_name_does(host):
    with api_server(program="/usr/local/bin/kube-apiserver"), api_server(program="kube-apiserver-proxy"):
        assert host.server(PORT) is not None


def test_of_two_with_the_same_port_none_is_the_api_server(host):
    with api_server(), api_server():
        assert host.server(PORT) is None


def test_its_audit_flags_and_the_digest_of_its_policy_are_read_from_the_process(host, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("the policy")
    with api_server(f"--audit-policy-file={policy}", "--audit-log-path=-", "--v=2"):
        found = host.server(PORT)
        assert found.audit_flags == {"--audit-policy-file": str(policy), "--audit-log-path": "-"}
        assert found.policy_digest == hashlib.sha256(b"the policy").hexdigest()
        assert host.running_policy(found) == "the policy"


def test_a_policy_that_cannot_be_read_has_no_digest(host, tmp_path):
    with api_server(f"--audit-policy-file={tmp_path / 'absent'}"):
        found = host.server(PORT)
        assert (found.policy_digest, host.running_policy(found)) == ("", "")


def test_a_policy_of_ours_that_cannot_be_seen_through_the_process_is_read_where_it_was_mounted_from(host, monkeypatch):
    monkeypatch.setattr(host_module, "_seen_by", lambda *_: Path("/nowhere"))
    host.store_policy("a" * 64, "the policy")
    with api_server(f"--audit-policy-file=/etc/policies/policy-{'a' * 64}.yaml"):
        assert host.server(PORT).policy_digest == hashlib.sha256(b"the policy").hexdigest()


@pytest.mark.parametrize(("network", "ours"), [("net:[1]", True), ("net:[2]", False), (None, True)])
def test_a_process_in_another_network_is_no_api_server_of_this_node(tmp_path, monkeypatch, network, ours):
    for name, link in (("self", "net:[1]"), ("5", network)):
        (tmp_path / name / "ns").mkdir(parents=True)
        if link is not None:
            (tmp_path / name / "ns" / "net").symlink_to(link)
    monkeypatch.setattr(os_process, "PROC", tmp_path)
    assert host_module._shares_our_network(ProcessIdentity(5, 1)) is ours


def test_without_a_process_no_binary_is_asked(host):
    assert host.judge(None, "the policy") is None


def test_a_binary_that_is_no_api_server_judges_nothing(host):
    with api_server() as child:
        result = host.judge(RunningServer(os_process.identify(child.pid), {}, ""), "the policy")
        assert result.verdict is Verdict.INCONCLUSIVE
