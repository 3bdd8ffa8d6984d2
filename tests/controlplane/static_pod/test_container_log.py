"""Why an API server ended, from the files in which the kubelet keeps what its container wrote."""

from __future__ import annotations

import json
import os

import pytest

from audit_operator.controlplane.static_pod.container_log import last_words

REFUSED = (
    "loading audit policy file: failed to decode: strict decoding error: unknown field "
    '"rules[0].levels" from file /etc/kubernetes/audit-operator/policies/policy-0a.yaml'
)
KLOG_INFO = 'I0729 10:00:00.000001       1 options.go:263] "external host was not specified, using 10.0.0.1"'
KLOG_STEPS = f'E0729 10:00:00.600000       1 run.go:72] "command failed" err={json.dumps(REFUSED)}'
JSON_INFO = '{"ts":1753783200000.1,"caller":"app/server.go:150","msg":"Version","v":0,"version":"v1.37.2"}'
JSON_FAILED = json.dumps({"ts": 1753783200600.0, "caller": "cli/run.go:72", "msg": "command failed", "err": REFUSED})


def cri(line, stream="stderr", tag="F"):
    return f"2026-07-29T10:00:00.600000000Z {stream} {tag} {line}"


@pytest.fixture
def pods(tmp_path):
    return tmp_path / "pods"


def write(
    pods, *lines, pod="kube-system_kube-apiserver-cp-1_0a1b", file="0.log", at=1000.0, container="kube-apiserver"
):
    path = pods / pod / container / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    os.utime(path, (at, at))


@pytest.mark.parametrize(
    "lines",
    [
        [KLOG_INFO, KLOG_STEPS],
        [JSON_INFO, JSON_FAILED],
        [KLOG_INFO, KLOG_STEPS, "goroutine 1 [running]:", "main.main()", "exit status 1"],
    ],
    ids=["klog text", "klog JSON", "with a trace after it"],
)
def test_the_final_error_is_what_counts(pods, lines):
    write(pods, *map(cri, lines))
    assert last_words(pods, 0.0) == REFUSED


def test_a_final_error_of_several_lines_is_read_whole(pods):
    lines = [
        'E0729 10:00:00.600000       1 run.go:72] "command failed" err=<',
        "\tloading audit policy file: yaml: unmarshal errors:",
        '\t  line 4: key "level" already set in map from file /policies/policy-0a.yaml',
        " >",
    ]
    write(pods, *map(cri, [KLOG_INFO, *lines, "and more", "and more", "and more"]))
    said = last_words(pods, 0.0)
    assert said.startswith("loading audit policy file: yaml: unmarshal errors:\n  line 4: key")
    assert said.endswith("policy-0a.yaml")


def test_a_long_line_that_the_runtime_has_split_is_put_together(pods):
    half = len(JSON_FAILED) // 2
    write(pods, cri(JSON_INFO), cri(JSON_FAILED[:half], tag="P"), cri(JSON_FAILED[half:]))
    assert last_words(pods, 0.0) == REFUSED


def test_without_a_final_error_it_is_what_was_said_last(pods):
    write(pods, cri(KLOG_INFO), cri("Error: unknown flag: --audit-log-pth"), cri("exit", stream="stdout"))
    said = last_words(pods, 0.0)
    assert said == ('"external host was not specified, using 10.0.0.1"; Error: unknown flag: --audit-log-pth; exit')


def test_the_file_that_was_written_last_counts_whichever_pod_or_restart_it_is_of(pods):
    write(pods, cri("older"), file="1.log", at=1000.0)
    write(pods, cri("newer"), pod="kube-system_kube-apiserver-cp-1_ffff", at=2000.0)
    write(pods, cri("not an API server"), pod="kube-system_etcd-cp-1_ffff", at=3000.0, container="etcd")
    write(pods, cri("a side car"), container="side-car", at=3000.0)
    assert last_words(pods, 0.0) == "newer"


def test_what_was_said_before_does_not_count(pods):
    write(pods, cri("an earlier end"), at=1000.0)
    assert last_words(pods, 1000.0) == "an earlier end"
    assert last_words(pods, 1000.5) == ""


def test_where_there_is_no_log_there_are_no_words(pods):
    assert last_words(pods, 0.0) == ""


def test_a_log_without_the_frame_of_a_container_runtime_is_read_too(pods):
    write(pods, KLOG_STEPS)
    assert last_words(pods, 0.0) == REFUSED


def test_of_a_large_log_the_end_is_read_and_little_is_shown(pods):
    write(pods, *[cri(KLOG_INFO)] * 5000, cri(f'E0729 10:00:00.6 1 run.go:72] "command failed" err="{"x" * 5000}"'))
    assert last_words(pods, 0.0) == "x" * 800


def test_bytes_that_are_no_text_do_no_harm(pods):
    write(pods, "")
    path = pods / "kube-system_kube-apiserver-cp-1_0a1b" / "kube-apiserver" / "0.log"
    path.write_bytes(b"2026-07-29T10:00:00Z stderr F \xff\xfe broken\n")
    assert last_words(pods, 0.0).endswith("broken")
