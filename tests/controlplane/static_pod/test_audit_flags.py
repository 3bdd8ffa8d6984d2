"""The audit flags as one value, and arguments read as kube-apiserver reads them."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace

import pytest
from pydantic import BaseModel, ValidationError

from audit_operator.api.control_plane import Log, LogMode, LogTruncation
from audit_operator.controlplane.static_pod.audit_flags import (
    OUR_FLAGS,
    AuditConfiguration,
    LogSettings,
    digest_in_name,
    effective_flags,
    given_flags,
    policy_file_name,
)

CONFIGURATION = AuditConfiguration("0123456789abcdef" * 4, LogSettings())


def test_defaults_are_those_of_the_api():
    assert LogSettings.from_spec(None) == LogSettings.from_spec(Log()) == LogSettings()


def test_every_field_of_the_spec_reaches_its_flag():
    log = Log(
        path="/var/log/a/b.log",
        max_age=31,
        max_backup=11,
        max_size=101,
        mode=LogMode.BLOCKING_STRICT,
        truncate=LogTruncation(enabled=False, max_event_size=2048, max_batch_size=4096),
    )
    configuration = AuditConfiguration("a" * 64, LogSettings.from_spec(log))
    assert list(configuration.flags("/policies").items()) == [
        ("--audit-policy-file", f"/policies/policy-{'a' * 64}.yaml"),
        ("--audit-log-path", "/var/log/a/b.log"),
        ("--audit-log-maxage", "31"),
        ("--audit-log-maxbackup", "11"),
        ("--audit-log-maxsize", "101"),
        ("--audit-log-mode", "blocking-strict"),
        ("--audit-log-truncate-enabled", "false"),
        ("--audit-log-truncate-max-event-size", "2048"),
        ("--audit-log-truncate-max-batch-size", "4096"),
    ]


@pytest.mark.parametrize("mode", LogMode)
def test_every_mode_of_the_api_has_the_api_servers_spelling(mode):
    assert LogSettings.from_spec(Log(mode=mode)).mode == re.sub("(?<!^)(?=[A-Z])", "-", mode.value).lower()


def test_our_flags_are_those_that_a_configuration_sets():
    assert tuple(CONFIGURATION.flags("/p")) == OUR_FLAGS


def test_configurations_that_differ_anywhere_have_different_ids():
    other = {"path": "/var/log/x.log", "mode": "batch", "truncate_enabled": False}
    ids = {CONFIGURATION.id, replace(CONFIGURATION, digest="f" * 64).id}
    for field in fields(LogSettings):
        ids.add(replace(CONFIGURATION, log=replace(LogSettings(), **{field.name: other.get(field.name, 7)})).id)
    assert len(ids) == 2 + len(fields(LogSettings))


def test_an_id_stays_the_same_from_release_to_release():
    """Agents remember failed configurations by it."""
    assert CONFIGURATION.id == "0229f87ee683d4b18cf1b2832fa1c94f53aa71e739b4bf4919d61d93bac41380"


class Message(BaseModel):
    configuration: AuditConfiguration | None


def test_it_travels_as_json_inside_of_pydantic_models():
    message = Message(configuration=CONFIGURATION)
    assert Message.model_validate_json(message.model_dump_json()) == message


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "abc"},
        {"digest": ""},
        {"digest": "A" * 64},
        {"more": 1},
        {"log": {"more": 1}},
        {"log": {"max_age": "30"}},
        {"log": {"max_age": 0}},
        {"log": {"max_age": True}},
        {"log": {"mode": "Blocking"}},
        {"log": {"truncate_enabled": "true"}},
        {"log": None},
    ],
)
def test_anything_else_is_refused(change):
    written = {"configuration": {**CONFIGURATION.to_json(), **change}}
    with pytest.raises(ValidationError):
        Message.model_validate_json(json.dumps(written))


def test_flags_read_back():
    flags = {"--secure-port": "6443", **CONFIGURATION.flags("/anywhere")}
    assert AuditConfiguration.from_flags(flags) == CONFIGURATION


@pytest.mark.parametrize("flag", OUR_FLAGS)
def test_without_one_of_the_flags_there_is_no_configuration(flag):
    flags = CONFIGURATION.flags("/p")
    del flags[flag]
    assert AuditConfiguration.from_flags(flags) is None


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--audit-policy-file", "/etc/kubernetes/audit-policy.yaml"),
        ("--audit-policy-file", f"/p/policy-{'a' * 64}.yaml.old"),
        ("--audit-log-maxage", "many"),
        ("--audit-log-maxage", "0"),
        ("--audit-log-mode", "sometimes"),
        ("--audit-log-truncate-enabled", "perhaps"),
    ],
)
def test_values_that_we_never_write_are_no_configuration(flag, value):
    assert AuditConfiguration.from_flags({**CONFIGURATION.flags("/p"), flag: value}) is None


@pytest.mark.parametrize(
    ("arguments", "flags"),
    [
        (["--secure-port=6443"], {"--secure-port": "6443"}),
        (["--a", "b"], {"--a": "b"}),
        (["--a=b=c"], {"--a": "b=c"}),
        (["--a="], {"--a": ""}),
        (["--a=1", "--b=2", "--a=3"], {"--a": "3", "--b": "2"}),
        (["--profiling", "--b=2"], {"--profiling": "true", "--b": "2"}),
        (["--audit_log_path=/x"], {"--audit-log-path": "/x"}),
        (["--audit_log_path=/x", "--audit-log-path=/y"], {"--audit-log-path": "/y"}),
        (["--audit-log-truncate-enabled", "--a=1"], {"--audit-log-truncate-enabled": "true", "--a": "1"}),
        (["--audit-log-path", "--audit-log-mode=batch"], {"--audit-log-path": "--audit-log-mode=batch"}),
        (["word", "-v=2"], {}),
        ([], {}),
    ],
)
def test_arguments_are_read_as_pflag_does(arguments, flags):
    assert effective_flags(arguments) == flags


def test_flags_say_where_they_stand():
    given = list(given_flags(["word", "--a", "b", "--c=d", "--audit-log-compress"]))
    assert [(flag.name, flag.first, flag.end) for flag in given] == [
        ("--a", 1, 3),
        ("--c", 3, 4),
        ("--audit-log-compress", 4, 5),
    ]


@pytest.mark.parametrize("name", ["policy-audit.yaml", "policy-.yaml", f"policy-{'g' * 64}.yaml", "audit.yaml", ""])
def test_a_file_that_somebody_else_has_named_names_no_digest(name):
    assert digest_in_name(f"/etc/kubernetes/{name}") == ""


def test_the_name_of_a_file_gives_back_its_digest():
    assert digest_in_name(f"/etc/kubernetes/{policy_file_name('0f' * 32)}") == "0f" * 32
