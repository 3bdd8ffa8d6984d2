"""Manifests as tools and people write them: what is read, what is edited, what is refused."""

from __future__ import annotations

from dataclasses import replace
from difflib import unified_diff
from pathlib import Path

import pytest
import yaml

from audit_operator.controlplane.static_pod.audit_flags import AuditConfiguration, LogSettings
from audit_operator.controlplane.static_pod.manifest import (
    Manifest,
    ManifestError,
    ManifestProblem,
    enrolled,
    read_back,
    with_audit_part_of,
)
from audit_operator.controlplane.static_pod.manifest_reading import read
from audit_operator.controlplane.static_pod.pod import on_host

ANY_ADDRESS = "0.0.0.0"  # noqa: S104  # read, not bound
POLICIES = "/etc/kubernetes/audit-operator/policies"
CONFIGURATION = AuditConfiguration("a" * 64, LogSettings())
NEXT = AuditConfiguration("b" * 64, LogSettings(path="/var/log/other/audit.log", max_age=60, truncate_enabled=False))

MANIFESTS = Path(__file__).parent / "manifests"
FIXTURES = {path.stem: path.read_bytes().decode() for path in sorted(MANIFESTS.glob("*.yaml"))}
SHELL = FIXTURES.pop("shell")
KUBEADM = FIXTURES["kubeadm-1.37"]
BY_HAND = FIXTURES["by-hand"]
ARGS_ONLY = FIXTURES["args-only"]

VARIANTS = {
    "as it is": lambda text: text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "no final line end": lambda text: text.rstrip("\n"),
    "many final line ends": lambda text: text + "\n\n\n",
    "byte order mark": lambda text: "\ufeff" + text,
}


@pytest.fixture(params=VARIANTS)
def variant(request):
    return VARIANTS[request.param]


@pytest.fixture(params=FIXTURES)
def text(request, variant):
    return variant(FIXTURES[request.param])


def diff(before: str, after: str) -> list[str]:
    lines = unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def parsed(text: str) -> Manifest:
    manifest = Manifest.parse(text)
    assert isinstance(manifest, Manifest), manifest
    return manifest


def host_path_of(text, path):
    reading = read(text)
    return on_host(reading.pod.spec.volumes, reading.container.volume_mounts, path)


# Reading


def test_a_kubeadm_manifest_is_read():
    manifest = parsed(KUBEADM)
    assert (manifest.secure_port, manifest.bind_address, manifest.loopback_address) == (6443, ANY_ADDRESS, "127.0.0.1")
    assert manifest.flags["--authorization-mode"] == "Node,RBAC"
    assert manifest.audit_flags == {}


def test_audit_flags_of_others_are_read():
    manifest = parsed(FIXTURES["kubespray"])
    assert manifest.audit_flags["--audit-policy-file"] == "/etc/kubernetes/audit-policy/apiserver-audit-policy.yaml"
    assert manifest.audit_flags["--audit-webhook-mode"] == "batch"
    assert manifest.loopback_address == "::1"


def test_of_a_repeated_flag_the_last_counts_however_it_is_spelled():
    manifest = parsed(BY_HAND)
    assert manifest.audit_flags == {
        "--audit-log-path": "/var/log/second.log",
        "--audit-log-maxage": "7",
        "--audit-policy-file": "/etc/kubernetes/pki/audit .yaml",
        "--audit-log-truncate-enabled": "true",
    }
    assert (manifest.secure_port, manifest.loopback_address) == (6444, "127.0.0.1")


def test_flags_of_a_wrapper_before_the_program_are_not_the_api_servers():
    manifest = parsed(FIXTURES["kops"])
    assert "--log-file" not in manifest.flags
    assert (manifest.secure_port, manifest.flags["--v"]) == (443, "2")


def test_a_container_of_another_name_is_found_by_what_it_runs():
    assert "name: kube-apiserver" not in ARGS_ONLY
    assert parsed(ARGS_ONLY).flags["--etcd-servers"] == "http://127.0.0.1:2379"


def test_paths_in_the_container_are_found_on_the_host():
    kubespray = FIXTURES["kubespray"]
    assert host_path_of(kubespray, "/var/log/audit/a.log") == "/var/log/kubernetes/audit/a.log"
    assert host_path_of(kubespray, "/var/log/audit") == "/var/log/kubernetes/audit"
    assert host_path_of(kubespray, "/var/log/auditor/a.log") is None
    assert (
        host_path_of(kubespray, "/etc/kubernetes/pki/../audit-policy/x.yaml") == "/etc/kubernetes/audit-policy/x.yaml"
    )


@pytest.mark.parametrize(
    ("mount", "volume", "expected"),
    [
        ("subPath: sub", "hostPath: {path: /data}", "/data/sub/f"),
        ("subPathExpr: $(X)", "hostPath: {path: /data}", None),
        ("readOnly: true", "hostPath: {path: /data/}", "/data/f"),
        ("readOnly: true", "emptyDir: {}", None),
    ],
)
def test_the_deepest_mount_says_where_a_path_lies(mount, volume, expected):
    text = ARGS_ONLY + (
        "    volumeMounts:\n"
        f"    - {{name: deep, mountPath: /a/b/, {mount}}}\n"
        "    - {name: shallow, mountPath: /a}\n"
        "  volumes:\n"
        "  - {name: shallow, hostPath: {path: /shallow}}\n"
        f"  - {{name: deep, {volume}}}\n"
    )
    assert host_path_of(text, "/a/b/f") == expected
    assert host_path_of(text, "/a/f") == "/shallow/f"


# Refusing


def pod(container: str, spec: str = "", before: str = "") -> str:
    return (
        f"{before}apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  containers:\n"
        f"  - name: kube-apiserver\n{container}{spec}"
    )


PLAIN = "    command:\n    - kube-apiserver\n    - --secure-port=1\n"


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        (SHELL, "through a shell", 0),
        ("", "not a Pod: Input", 1),
        ('{"kind": "Pod"}', "JSON", 1),
        ("{kind: Pod, spec: {containers: [{name: kube-apiserver, args: [--a=b]}]}}", "JSON", 1),
        ("[]", "not a Pod", 1),
        ("kind: Deployment\nspec:\n  containers: []\n", "not a Pod: kind", 1),
        ("kind: Pod\nspec:\n  containers:\n\t- name: x\n", "", 4),
        (pod("    command: [kube-apiserver, --secure-port=1]\n"), "command is not a sequence in block style", 8),
        (pod(PLAIN + "    volumeMounts: []\n"), "volumeMounts is not a sequence in block style", 11),
        (pod(PLAIN, "  volumes: [{name: x}]\n"), "volumes is not a sequence in block style", 11),
        (pod(PLAIN, "  volumes:\n"), "volumes is not a sequence in block style", 11),
        ("kind: Pod\nspec:\n  containers:\n  - {name: kube-apiserver, args: [--a=b]}\n", "block style", 4),
        ("kind: Pod\nspec: {containers: [{name: kube-apiserver, args: [--a=b]}]}\n", "block style", 2),
        (pod("    command: &c\n    - kube-apiserver\n    - --a=b\n"), "anchors", 8),
        (pod("    command: !!seq\n    - kube-apiserver\n    - --a=b\n"), "tags", 8),
        (pod(PLAIN + "    <<: {image: x}\n"), "merge keys", 11),
        (pod(PLAIN + "    name: again\n"), "set twice", 11),
        (pod(PLAIN, "---\nkind: Pod\n"), "second YAML document", 12),
        (pod("    command:\n    - kube-apiserver\n    - 6443\n"), "spec.containers[0].command[1]", 10),
        (pod("    command:\n    - kube-apiserver\n"), "no flags", 0),
        (pod("    command:\n    - etcd\n    - --a=b\n"), "does not start kube-apiserver", 0),
        (pod("    image: x\n"), "does not start kube-apiserver", 0),
        (pod("    command:\n    - kube-apiserver\n    - --a=b\n    - --\n"), "--", 11),
        (pod("    args:\n    - --audit-log-path=$(LOG)\n"), "environment variable", 9),
        (pod("    args:\n    - --a=b\n    - --audit-log-path\n"), "--audit-log-path has no value", 10),
        (pod("    args:\n    - --bind-address=$(HOST_IP)\n"), "environment variable", 9),
        (pod("    args:\n    - --audit-log-compress\n    - word\n"), "word belongs to no flag", 10),
        (pod("    args:\n    - --secure-port=https\n"), "not a number", 0),
        ("kind: Pod\nspec:\n  containers:\n  - name: a\n", "0 containers", 0),
        (PLAIN.join((pod(""), "\r#\n")), "unusual", 11),
        (pod(PLAIN) + "# \u2028\n", "unusual", 11),
        (KUBEADM[:-30] + "\0", "", None),
    ],
)
def test_what_cannot_be_edited_is_refused_with_its_place(text, said, line):
    problem = Manifest.parse(text)
    assert isinstance(problem, ManifestProblem)
    assert said in problem.message
    assert line is None or problem.line == line, problem
    with pytest.raises(ManifestError) as raised:
        enrolled(text, CONFIGURATION, POLICIES)
    assert raised.value.problem == problem
    assert read_back(text, POLICIES) is None


def test_two_containers_that_run_it_are_one_too_many():
    text = ARGS_ONLY.replace('args: ["--from", "/var/log"]', "args: [kube-apiserver, --a=b]")
    assert "2 containers" in str(Manifest.parse(text))


# Enrolling


def test_enrolling_a_kubeadm_manifest_adds_flags_mounts_and_volumes():
    result = enrolled(KUBEADM, CONFIGURATION, POLICIES)
    assert diff(KUBEADM, result) == [
        f"+    - --audit-policy-file={POLICIES}/policy-{'a' * 64}.yaml",
        "+    - --audit-log-path=/var/log/kubernetes/audit/audit.log",
        "+    - --audit-log-maxage=30",
        "+    - --audit-log-maxbackup=10",
        "+    - --audit-log-maxsize=100",
        "+    - --audit-log-mode=blocking",
        "+    - --audit-log-truncate-enabled=true",
        "+    - --audit-log-truncate-max-event-size=102400",
        "+    - --audit-log-truncate-max-batch-size=10485760",
        f"+    - mountPath: {POLICIES}",
        "+      name: audit-operator-policies",
        "+      readOnly: true",
        "+    - mountPath: /var/log/kubernetes/audit",
        "+      name: audit-operator-log",
        "+  - hostPath:",
        f"+      path: {POLICIES}",
        "+      type: DirectoryOrCreate",
        "+    name: audit-operator-policies",
        "+  - hostPath:",
        "+      path: /var/log/kubernetes/audit",
        "+      type: DirectoryOrCreate",
        "+    name: audit-operator-log",
    ]


def test_another_configuration_changes_values_only():
    first = enrolled(KUBEADM, CONFIGURATION, POLICIES)
    assert diff(first, enrolled(first, NEXT, POLICIES)) == [
        f"-    - --audit-policy-file={POLICIES}/policy-{'a' * 64}.yaml",
        "-    - --audit-log-path=/var/log/kubernetes/audit/audit.log",
        "-    - --audit-log-maxage=30",
        f"+    - --audit-policy-file={POLICIES}/policy-{'b' * 64}.yaml",
        "+    - --audit-log-path=/var/log/other/audit.log",
        "+    - --audit-log-maxage=60",
        "-    - --audit-log-truncate-enabled=true",
        "+    - --audit-log-truncate-enabled=false",
        "-    - mountPath: /var/log/kubernetes/audit",
        "+    - mountPath: /var/log/other",
        "-      path: /var/log/kubernetes/audit",
        "+      path: /var/log/other",
    ]


def test_flags_of_others_are_given_our_values_in_their_place_and_style():
    changes = diff(BY_HAND, enrolled(BY_HAND, CONFIGURATION, POLICIES))
    indent = " " * 16
    assert f"-{indent}-   --audit_log_path=/var/log/first.log      # the first one" in changes
    assert f'+{indent}-   "/var/log/kubernetes/audit/audit.log"     # the one that counts' in changes
    assert f"+{indent}    --audit-log-maxage=30" in changes
    assert f"+{indent}-   --audit-policy-file={POLICIES}/policy-{'a' * 64}.yaml" in changes
    assert f"+{indent}-   --audit-log-mode=blocking" in changes
    assert not any("truncate-enabled" in line for line in changes)


def test_new_flags_are_quoted_as_the_last_one_is():
    text = pod("    args:\n      - '--secure-port=1'\n")
    assert "\n      - '--audit-log-maxage=30'\n" in enrolled(text, CONFIGURATION, POLICIES)


def test_audit_flags_that_we_do_not_set_stay():
    flags = parsed(enrolled(FIXTURES["kubespray"], CONFIGURATION, POLICIES)).audit_flags
    assert flags["--audit-webhook-mode"] == "batch"
    assert flags["--audit-webhook-config-file"].startswith("/etc/kubernetes/audit-policy/")


def test_enrolling_is_idempotent(text):
    once = enrolled(text, CONFIGURATION, POLICIES)
    assert enrolled(once, CONFIGURATION, POLICIES) == once


def test_what_was_written_reads_back(text):
    assert read_back(text, POLICIES) is None
    first = enrolled(text, CONFIGURATION, POLICIES)
    assert read_back(first, POLICIES) == CONFIGURATION
    assert read_back(enrolled(first, NEXT, POLICIES), POLICIES) == NEXT


def test_the_audit_part_of_the_original_gives_the_original_back(text):
    first = enrolled(text, CONFIGURATION, POLICIES)
    assert with_audit_part_of(first, text) == text
    assert with_audit_part_of(text, first) == first
    assert with_audit_part_of(enrolled(first, NEXT, POLICIES), text) == text


def test_line_ends_stay_what_they_are(text):
    result = enrolled(text, CONFIGURATION, POLICIES)
    assert ("\r\n" in text) == ("\r\n" in result)
    assert result.count("\r\n") in (0, result.count("\n"))
    assert text.endswith("\n") == result.endswith("\n")


# Mounts of others


def with_log_mount(mount: str, volume: str) -> str:
    return ARGS_ONLY + f"    volumeMounts:\n    - {{name: log, {mount}}}\n  volumes:\n  - {{name: log, {volume}}}\n"


@pytest.mark.parametrize("folder", ["/var/log/kubernetes/audit", "/var/log/kubernetes/audit/", "/var/log"])
def test_a_writable_mount_of_the_log_folder_is_used_as_it_is(folder):
    text = with_log_mount(f"mountPath: {folder}", f"hostPath: {{path: {folder}}}")
    result = enrolled(text, CONFIGURATION, POLICIES)
    assert "audit-operator-log" not in result
    assert read_back(result, POLICIES) == CONFIGURATION


def test_a_mount_that_comes_to_hold_the_log_folder_replaces_ours():
    """As when somebody adds it later; two mounts at one path are no valid Pod."""
    first = enrolled(ARGS_ONLY, CONFIGURATION, POLICIES)
    ours = first.replace("volumes:\n", "volumes:\n    - name: log\n      hostPath: {path: /var/log}\n").replace(
        "volumeMounts:\n", "volumeMounts:\n      - {name: log, mountPath: /var/log}\n"
    )
    assert "audit-operator-log" not in enrolled(ours, CONFIGURATION, POLICIES)
    assert read_back(ours, POLICIES) is None


@pytest.mark.parametrize(
    ("mount", "volume"),
    [
        ("mountPath: /var/log, readOnly: true", "hostPath: {path: /var/log}"),
        ("mountPath: /var/log", "hostPath: {path: /data}"),
        ("mountPath: /var/log", "emptyDir: {}"),
        ("mountPath: /var/log, subPath: x", "hostPath: {path: /var/log}"),
    ],
)
def test_a_mount_above_that_leads_elsewhere_does_not_do(mount, volume):
    result = enrolled(with_log_mount(mount, volume), CONFIGURATION, POLICIES)
    assert host_path_of(result, CONFIGURATION.log.path) == CONFIGURATION.log.path


@pytest.mark.parametrize(
    ("mount", "volume"),
    [
        ("mountPath: /var/log/kubernetes/audit, readOnly: true", "hostPath: {path: /var/log/kubernetes/audit}"),
        ("mountPath: /var/log/kubernetes/audit", "hostPath: {path: /data}"),
        ("mountPath: /var/log/kubernetes/audit/", "emptyDir: {}"),
        ("mountPath: /var/log/kubernetes/audit/audit.log", "hostPath: {path: /var/log/kubernetes/audit/audit.log}"),
        (f"mountPath: {POLICIES}", f"hostPath: {{path: {POLICIES}}}"),
        (f"mountPath: {POLICIES}/x", "emptyDir: {}"),
    ],
)
def test_a_mount_of_somebody_else_in_our_place_is_refused(mount, volume):
    with pytest.raises(ManifestError, match="mounted"):
        enrolled(with_log_mount(mount, volume), CONFIGURATION, POLICIES)


def test_a_volume_that_another_container_has_come_to_use_is_not_taken_away():
    """Without it the Pod would be invalid, and the kubelet would not run it."""
    first = enrolled(ARGS_ONLY, CONFIGURATION, POLICIES)
    used = first.replace(
        '    args: ["--from", "/var/log"]\n',
        '    args: ["--from", "/var/log"]\n    volumeMounts:\n    - {name: audit-operator-log, mountPath: /in}\n',
    )
    result = yaml.safe_load(with_audit_part_of(used, ARGS_ONLY))
    assert [volume["name"] for volume in result["spec"]["volumes"]] == ["audit-operator-log"]
    assert "volumeMounts" not in result["spec"]["containers"][1]


# Others' hands


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--audit-log-maxage=30", "--audit-log-maxage=31"),
        ("--audit-log-maxage=30", "--audit-log-maxage=030"),
        ("    - --audit-log-maxage=30\n", ""),
        ("    - --audit-log-mode=blocking\n", "    - --audit-log-mode=batch\n    - --audit-log-mode=blocking\n"),
        ("--audit-log-mode=blocking\n", "--audit-log-mode=blocking\n    - --audit_log_mode=batch\n"),
        (f"={POLICIES}/policy-", "=/tmp/policy-"),
        (f"      path: {POLICIES}\n", "      path: /tmp\n"),
        (f"    - mountPath: {POLICIES}\n", "    - mountPath: /tmp\n"),
        ("      name: audit-operator-policies\n      readOnly: true\n", "      name: audit-operator-policies\n"),
        ("      type: DirectoryOrCreate\n    name: audit-operator-log\n", "    name: audit-operator-log\n"),
        ("      name: audit-operator-log\n", "      name: audit-operator-log\n      subPath: x\n"),
        ("    - mountPath: /var/log/kubernetes/audit\n      name: audit-operator-log\n", ""),
    ],
)
def test_a_change_of_somebody_else_to_our_part_is_seen(old, new):
    first = enrolled(KUBEADM, CONFIGURATION, POLICIES)
    assert first.count(old) == 1
    changed = first.replace(old, new)
    assert read_back(changed, POLICIES) != CONFIGURATION
    assert read_back(enrolled(changed, CONFIGURATION, POLICIES), POLICIES) == CONFIGURATION


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--audit-log-maxage=30", "--audit-log-maxage=30 # more than CIS asks for"),
        ("    - --audit-log-maxage=30\n", "    - '--audit-log-maxage=30'\n"),
        ("    - --audit-log-maxage=30\n", "    # age\n    - --audit-log-maxage\n    - '30'\n"),
        ("kube-apiserver:v1.37.2", "kube-apiserver:v1.37.3"),
        ("    - --audit-log-mode=blocking\n", "    - --audit-log-mode=blocking\n    - --audit-log-compress\n"),
    ],
)
def test_what_says_the_same_is_not_written_again(old, new):
    changed = enrolled(KUBEADM, CONFIGURATION, POLICIES).replace(old, new)
    assert read_back(changed, POLICIES) == CONFIGURATION
    assert enrolled(changed, CONFIGURATION, POLICIES) == changed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kube-apiserver:v1.37.2", "kube-apiserver:v1.38.0  # upgraded"),
        ("--secure-port=6443", "--secure-port=6444"),
        ("    - --authorization-mode=Node,RBAC\n", ""),
        ("    - --allow-privileged=true\n", "    - --allow-privileged=true\n    - --v=4\n"),
        ("--tls-private-key-file=/etc/kubernetes/pki/apiserver.key", "--tls-private-key-file=/elsewhere"),
        ("    - mountPath: /etc/ssl/certs\n", "    # certificates\n    - mountPath: /etc/ssl/certs\n"),
        ("status: {}\n", ""),
    ],
)
@pytest.mark.parametrize("original", ["kubeadm-1.37", "kubespray"])
def test_undoing_keeps_what_others_have_changed_meanwhile(original, old, new):
    text = FIXTURES[original].replace("v1.31.4", "v1.37.2")
    assert old in text
    changed = enrolled(text, CONFIGURATION, POLICIES).replace(old, new)
    assert with_audit_part_of(changed, text) == text.replace(old, new)


def test_undoing_puts_flags_behind_those_that_they_followed_also_where_lines_are_indented_otherwise():
    result = with_audit_part_of(KUBEADM, BY_HAND)
    assert diff(KUBEADM, result) == [
        "+    -   --audit_log_path=/var/log/first.log      # the first one",
        '+    -   "--audit-log-path"',
        '+    -   "/var/log/second.log"     # the one that counts',
        "+    -",
        "+        --audit-log-maxage=7",
        "+    -   >-",
        "+        --audit-policy-file=/etc/kubernetes/pki/audit",
        "+        .yaml",
        "+    -   --audit-log-truncate-enabled",
    ]
    lines = result.splitlines()
    assert lines.index(next(each for each in lines if "audit_log_path" in each)) == 1 + lines.index(
        "    - --secure-port=6443"
    )
    issuer = "    - --service-account-issuer=https://kubernetes.default.svc.cluster.local"
    assert "--audit-policy-file" in lines[lines.index(issuer) + 2]


def test_arguments_that_were_ours_alone_go_with_their_key():
    both = pod("    command:\n    - kube-apiserver\n    - --a=b\n    args:  # audit\n    - --audit-log-maxage=1\n")
    without = pod("    command:\n    - kube-apiserver\n    - --a=c\n")
    result = with_audit_part_of(both, without)
    assert result == pod("    command:\n    - kube-apiserver\n    - --a=b\n")


def test_flags_may_begin_with_ours():
    text = pod("    args:\n    - --audit-log-maxage=1\n    - --a=b\n")
    changed = enrolled(text, CONFIGURATION, POLICIES).replace("--a=b", "--a=c")
    assert with_audit_part_of(changed, text) == text.replace("--a=b", "--a=c")


def test_arguments_that_were_ours_alone_may_be_the_first_key_of_their_container():
    text = (
        "kind: Pod\nspec:\n  containers:\n  - args:\n    - --audit-log-maxage=1\n"
        "    name: kube-apiserver\n    command:\n    - kube-apiserver\n    - --a=b\n"
    )
    first = enrolled(text, CONFIGURATION, POLICIES)
    assert with_audit_part_of(first, text) == text
    result = with_audit_part_of(first, pod(PLAIN))
    assert parsed(result).flags == {"--a": "b"}
    assert read_back(enrolled(result, CONFIGURATION, POLICIES), POLICIES) == CONFIGURATION


def test_mounts_that_are_ours_alone_cannot_be_taken_away_where_they_are_the_first_key():
    first = enrolled(ARGS_ONLY, CONFIGURATION, POLICIES)
    start, end = first.index("    volumeMounts:\n"), first.index("  volumes:\n")
    mounts = first[start:end]
    moved = (first[:start] + first[end:]).replace(
        "  - name: apiserver\n", "  - " + mounts.lstrip() + "    name: apiserver\n"
    )
    assert read_back(moved, POLICIES) == CONFIGURATION
    with pytest.raises(ManifestError, match="first key"):
        with_audit_part_of(moved, ARGS_ONLY)


def test_a_manifest_keeps_a_flag_at_least():
    with pytest.raises(ManifestError, match="without any flag"):
        with_audit_part_of(pod("    args:\n    - --audit-log-maxage=1\n"), pod("    args:\n    - --a=b\n"))


def test_values_are_quoted_where_yaml_would_misread_them():
    folder = "/data: x/it's #1"
    result = enrolled(KUBEADM, CONFIGURATION, folder)
    assert host_path_of(result, f"{folder}/f") == f"{folder}/f"
    assert read_back(result, folder) == CONFIGURATION


def test_a_configuration_of_another_folder_is_not_ours():
    assert read_back(enrolled(KUBEADM, CONFIGURATION, "/other"), POLICIES) is None


def test_a_log_in_another_file_of_the_same_folder_changes_no_volume():
    first = enrolled(KUBEADM, CONFIGURATION, POLICIES)
    moved = replace(CONFIGURATION, log=LogSettings(path="/var/log/kubernetes/audit/b.log"))
    assert len(diff(first, enrolled(first, moved, POLICIES))) == 2


def test_the_short_flag_for_verbosity_is_no_stray_word():
    assert parsed(pod(PLAIN + "    - -v\n    - '4'\n    - -v=4\n    - ''\n")).secure_port == 1


def test_repeated_flags_keep_their_order_where_others_have_reordered_the_rest():
    text = pod("    args:\n    - --a=1\n    - --audit-log-maxage=1\n    - --b=1\n    - --audit-log-maxage=2\n")
    turned = pod("    args:\n    - --b=1\n    - --a=1\n")
    assert parsed(with_audit_part_of(turned, text)).audit_flags == {"--audit-log-maxage": "2"}
    other = enrolled(text, CONFIGURATION, POLICIES).replace("--a=1", "--c=1").replace("--b=1", "--a=1")
    assert parsed(with_audit_part_of(other, text)).audit_flags == {"--audit-log-maxage": "2"}


def test_a_text_that_keeps_its_last_line_ends_keeps_them():
    """Of a block scalar that ends in +, the empty lines after it are part."""
    text = pod(PLAIN + "    env:\n    - name: A\n      value: |+\n        x\n\n\n")
    result = enrolled(text, CONFIGURATION, POLICIES)
    assert yaml.safe_load(result)["spec"]["containers"][0]["env"] == [{"name": "A", "value": "x\n\n\n"}]
    assert with_audit_part_of(result, text) == text


def test_a_text_that_ends_in_a_block_scalar_without_line_end_is_refused():
    """Whatever followed it would give it one."""
    problem = Manifest.parse(pod(PLAIN + "    env:\n    - name: A\n      value: |\n        x"))
    assert "last line" in str(problem)
