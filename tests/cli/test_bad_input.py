"""Whatever is in a file: a clear error at the right place, an exit status, and the other objects go on."""

from __future__ import annotations

import pytest

from audit_operator.cli import main

GOOD = (
    "apiVersion: audit-operator.dev/v1alpha1\nkind: AuditPolicy\nmetadata: {name: good, namespace: fine}\n"
    "spec: {rules: [{level: Request}]}\n"
)


def policy(spec: str) -> str:
    return (
        "apiVersion: audit-operator.dev/v1alpha1\nkind: AuditPolicy\nmetadata: {name: bad, namespace: web}\n"
        f"spec:\n{spec}"
    )


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + depth)}: &{chr(98 + depth)} [{', '.join([f'*{chr(97 + depth)}'] * 9)}]\n" for depth in range(12)
)
MANY_RULES = policy("  rules:\n" + "  - level: Metadata\n" * 10_000)
A_MEBIBYTE = policy(
    "  rules:\n  - level: Metadata\n    users: [" + ", ".join(f"user-{n:06d}" for n in range(85_000)) + "]\n"
)
DEEP = "apiVersion: audit-operator.dev/v1alpha1\nkind: AuditPolicy\nspec: " + "[" * 5000 + "]" * 5000

CASES = {
    "unknown key in a rule": (policy("  rules: [{level: None, verb: [get]}]\n"), "spec.rules[0].verb"),
    "unknown key in spec": (policy("  rule: [{level: None}]\n"), "spec.rule"),
    "unknown key beside spec": (GOOD.replace("namespace: fine", "namespace: x") + "specs: {}\n", "specs"),
    "wrong case": (policy("  rules: [{Level: None}]\n"), "spec.rules[0].Level"),
    "no level": (policy("  rules: [{verbs: [get]}]\n"), "spec.rules[0].level"),
    "no such level": (policy("  rules: [{level: Everything}]\n"), "spec.rules[0].level"),
    "a boolean for a level": (policy("  rules: [{level: off}]\n"), "spec.rules[0].level"),
    "a string for a list": (policy("  rules: [{level: None, verbs: get}]\n"), "spec.rules[0].verbs"),
    "a boolean in a list": (policy("  rules: [{level: None, users: [yes]}]\n"), "spec.rules[0].users[0]"),
    "a number in a list": (policy("  rules: [{level: None, users: [17]}]\n"), "spec.rules[0].users[0]"),
    "a wildcard verb": (policy("  rules: [{level: None, verbs: ['*']}]\n"), "spec.rules[0].verbs[0]"),
    "an upper-case verb": (policy("  rules: [{level: None, verbs: [GET]}]\n"), "spec.rules[0].verbs[0]"),
    "a group with version": (
        policy("  rules: [{level: None, resources: [{group: apps/v1}]}]\n"),
        "spec.rules[0].resources[0].group",
    ),
    "namespaces in a namespaced policy": (
        policy("  rules: [{level: None, namespaces: [kube-system]}]\n"),
        "namespaces",
    ),
    "URLs in a namespaced policy": (
        policy("  rules: [{level: None, nonResourceURLs: [/metrics]}]\n"),
        "nonResourceURLs",
    ),
    "names without resources": (
        policy("  rules: [{level: None, resources: [{group: apps, resourceNames: [a]}]}]\n"),
        "spec.rules[0].resources[0]",
    ),
    "an empty spec": (policy("  {}\n"), "spec"),
    "no such preset": (policy("  preset: Everything\n"), "spec.preset"),
    "no such stage": (policy("  preset: Metadata\n  omitStages: [Response]\n"), "spec.omitStages[0]"),
    "retention upside down": (policy("  preset: Metadata\n  retention: {minimum: 60d, maximum: 30d}\n"), "retention"),
    "rules that are no list": (policy("  rules: {level: None}\n"), "spec.rules"),
    "10,000 rules": (MANY_RULES, "spec.rules"),
    "a mebibyte of users": (A_MEBIBYTE, "spec.rules[0].users"),
    "no kind": ("apiVersion: audit-operator.dev/v1alpha1\nmetadata: {name: x}\n", "kind"),
    "no such kind": (
        "apiVersion: audit-operator.dev/v1alpha1\nkind: AuditPolicies\nmetadata: {name: x}\n",
        "AuditPolic",
    ),
    "no such version": ("apiVersion: audit-operator.dev/v9\nkind: AuditPolicy\nmetadata: {name: x}\n", "v9"),
    "no name": ("apiVersion: audit-operator.dev/v1alpha1\nkind: AuditPolicy\nspec: {preset: Metadata}\n", "metadata"),
    "a duplicate key": (policy("  preset: Metadata\n  preset: Baseline\n"), "duplicate-key"),
    "not YAML": ("{{{", "unreadable"),
    "a tab for indentation": ("spec:\n\t- x\n", "unreadable"),
    "an alias to nothing": ("spec: *nowhere\n", "unreadable"),
    "an alias of itself": ("spec: &a [*a]\n", "unreadable"),
    "a YAML bomb": (BOMB, "unreadable"),
    "5,000 levels": (DEEP, "unreadable"),
    "a NaN": ("spec: .nan\n", "unreadable"),
    "an audit policy of the API server": (
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None}]\n",
        "raw-policy",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_file_is_an_error_that_names_the_place_and_the_others_go_on(case, tmp_path, capsys):
    content, expected = CASES[case]
    (tmp_path / "bad.yaml").write_text(content)
    (tmp_path / "good.yaml").write_text(GOOD)
    assert main(["compile", "-f", str(tmp_path)]) == 1
    output = capsys.readouterr()
    assert "namespaces: [fine]" in output.out
    assert "bad.yaml" in output.err
    assert expected in output.err
    assert len(output.err) < 20_000, "an error is read by a person"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"spec: \xc3\x28\n", b"\x00\x01\x02"])
def test_bytes_that_are_no_text_are_an_error(content, tmp_path, capsys):
    (tmp_path / "bad.yaml").write_bytes(content)
    (tmp_path / "good.yaml").write_text(GOOD)
    assert main(["compile", "-f", str(tmp_path)]) == 1
    assert "bad.yaml" in capsys.readouterr().err


def test_a_name_in_any_script_is_read_and_written(tmp_path, capsys):
    users = "['müller@例え.jp', '\U0001d4b6\u2028b']"
    (tmp_path / "good.yaml").write_text(policy(f"  rules: [{{level: Request, users: {users}}}]\n"))
    assert main(["compile", "-f", str(tmp_path)]) == 0
    assert "müller@例え.jp" in capsys.readouterr().out
