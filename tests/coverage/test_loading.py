from __future__ import annotations

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.coverage.catalogue import Catalogue
from audit_operator.coverage.loading import builtin_catalogue, load_catalogue
from audit_operator.coverage.merging import merge
from audit_operator.policy.typed_document import MAX_FINDINGS

HEAD = "apiVersion: catalogue.audit-operator.dev/v1alpha1\nkind: CriticalActionCatalogue\n"
SOURCE = ObjectRef("ConfigMap", "ours", "audit-system")
ACTION = """\
actions:
- id: vault-read
  title: Vault secret read
  tactic: credential-access
  severity: high
  match:
  - {apiGroup: vault.example.com, resources: [vaultsecrets], verbs: [get, list], scope: Namespaced}
  subjects: [human]
  minLevel: Metadata
"""


def load(text):
    return load_catalogue(text, source=SOURCE, file="catalogue.yaml")


def changed(old, new):
    assert old in ACTION
    return HEAD + ACTION.replace(old, new)


def test_a_users_action_is_added_to_the_built_in_ones():
    merged = merge(builtin_catalogue(), load(HEAD + ACTION))
    assert merged.action("vault-read").title == "Vault secret read"
    assert len(merged.actions) == len(builtin_catalogue().actions) + 1
    assert merged.blind_spots == builtin_catalogue().blind_spots


def test_a_users_action_replaces_the_one_of_the_same_id_in_its_place():
    merged = merge(builtin_catalogue(), load(changed("vault-read", "secrets-read")))
    assert [action.id for action in merged.actions] == [action.id for action in builtin_catalogue().actions]
    assert merged.action("secrets-read").title == "Vault secret read"
    assert not merged.action("secrets-read").core


def test_nobody_makes_an_action_part_of_the_core():
    merged = merge(builtin_catalogue(), load(HEAD + ACTION + "  core: true\n"))
    assert not merged.action("vault-read").core


def test_a_users_subject_can_be_used_by_their_actions():
    text = changed("[human]", "[contractor]") + "subjects: [{name: contractor, user: bob, groups: [contractors]}]\n"
    assert merge(builtin_catalogue(), load(text)).action("vault-read").subjects == ("contractor",)


def test_an_action_about_an_unknown_subject_is_refused():
    (finding,) = merge(builtin_catalogue(), load(changed("[human]", "[humans]")), source=SOURCE)
    assert (finding.id, finding.path, finding.object) == ("unknown-subject", "actions[0].subjects", SOURCE)
    assert "human" in finding.mend


@pytest.mark.parametrize(
    ("text", "check", "path", "line"),
    [
        pytest.param("", "wrong-type", "", 1, id="empty"),
        pytest.param("- 1", "wrong-type", "", 1, id="a-list"),
        pytest.param("a: [", "unreadable", "", 2, id="no-yaml"),
        pytest.param("kind: CriticalActionCatalogue", "missing-field", "apiVersion", 1, id="no-version"),
        pytest.param(HEAD.replace("v1alpha1", "v7"), "invalid-value", "apiVersion", 1, id="unknown-version"),
        pytest.param(HEAD + "kind: CriticalActionCatalogue\n", "duplicate-key", "kind", 3, id="duplicate-key"),
        pytest.param(HEAD + ACTION + "---\na: b\n", "further-document", "", 12, id="further-document"),
        pytest.param(changed("minLevel", "minlevel"), "unknown-key", "actions[0].minlevel", 11, id="misspelt-key"),
        pytest.param(changed("minLevel: Metadata", "minLevel: metadata"), "invalid-value", "actions[0].minLevel", 11,
                     id="unknown-level"),
        pytest.param(changed("severity: high", "severity: 7"), "invalid-value", "actions[0].severity", 7,
                     id="severity"),
        pytest.param(changed("title: Vault secret read", "title: yes"), "wrong-type", "actions[0].title", 5,
                     id="yaml-boolean"),
        pytest.param(changed("vault-read", "Vault Read"), "invalid-value", "actions[0].id", 4, id="id"),
        pytest.param(changed("[get, list]", "[bind]"), "invalid-value", "actions[0].match[0]", 9,
                     id="authorization-verb"),
        pytest.param(changed("[get, list]", "[GET]"), "invalid-value", "actions[0].match[0]", 9, id="unknown-verb"),
        pytest.param(changed("[get, list]", "[]"), "out-of-bounds", "actions[0].match[0].verbs", 9, id="no-verbs"),
        pytest.param(changed("[vaultsecrets]", '["*"]'), "invalid-value", "actions[0].match[0].resources[0]", 9,
                     id="wildcard"),
        pytest.param(changed(", scope: Namespaced", ""), "invalid-value", "actions[0].match[0]", 9, id="no-scope"),
        pytest.param(changed("Namespaced", "Cluster, namespaces: [a]"), "invalid-value", "actions[0].match[0]", 9,
                     id="namespaces-of-cluster"),
        pytest.param(changed("resources: [vaultsecrets]", "nonResourceURLs: [/x]"), "invalid-value",
                     "actions[0].match[0]", 9, id="path-with-scope"),
        pytest.param(changed("minLevel: Metadata", "minLevel: None"), "invalid-value", "actions[0]", 4, id="none"),
        pytest.param(HEAD + ACTION + "  maxLevel: Metadata\n  bestLevel: Request\n", "invalid-value", "actions[0]", 4,
                     id="levels-out-of-order"),
        pytest.param(HEAD + ACTION + ACTION.removeprefix("actions:\n"), "duplicate-name", "actions[1]", 12,
                     id="duplicate-id"),
        pytest.param(HEAD + "subjects: [{name: nobody, user: null, groups: [a]}]", "invalid-value", "subjects[0]", 3,
                     id="nobody-in-a-group"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_where_it_is(text, check, path, line):
    findings = load(text)
    assert isinstance(findings, tuple), "loaded"
    assert (check, path, line) in [(finding.id, finding.path, finding.location.line) for finding in findings]
    for finding in findings:
        assert finding.severity is Severity.ERROR
        assert finding.object == SOURCE
        assert finding.location.file == "catalogue.yaml"


def test_a_misspelt_key_is_told_the_right_one():
    findings = {finding.path: finding for finding in load(changed("scope:", "skope:"))}
    assert findings["actions[0].match[0].skope"].mend == "did you mean scope?"


def test_a_catalogue_that_is_too_large_to_be_judged_is_refused():
    resources = ", ".join(f"r{number}" for number in range(50))
    match = (
        f"  - {{resources: [{resources}], verbs: [get, list, watch, create, update, patch, delete], scope: Cluster}}\n"
    )
    listed = "".join(
        ACTION.removeprefix("actions:\n").replace("vault-read", f"a{number}").partition("  - {")[0]
        + match * 10
        + "  subjects: [human]\n  minLevel: Metadata\n"
        for number in range(10)
    )
    (finding,) = load(HEAD + "actions:\n" + listed)
    assert (finding.id, finding.path) == ("out-of-bounds", "actions")


def test_findings_are_bounded():
    many = HEAD + "actions:\n" + textwrap.dedent("- id: 1\n" * 190)
    assert len(load(many)) == MAX_FINDINGS


@pytest.mark.parametrize(
    "text",
    [
        "&a [*a]",
        "a: &a [x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b]\nd: [*c, *c, *c, *c, *c]\n",
        "[" * 5000,
        '{"apiVersion": "\\ud800"}',
        "kind: .nan",
        b"\xff\xfe\x00",
        "x" * (3 << 20),
    ],
    ids=["cycle", "aliases", "deep", "surrogate", "nan", "bytes", "huge"],
)
def test_an_attack_on_the_parser_is_a_finding(text):
    findings = load(text)
    assert findings
    assert all(isinstance(finding, Finding) for finding in findings)


@given(st.text() | st.binary())
def test_loading_never_raises(text):
    assert isinstance(load(text), Catalogue | tuple)


def test_json_is_read_too():
    text = '{"apiVersion": "catalogue.audit-operator.dev/v1alpha1", "kind": "CriticalActionCatalogue"}'
    assert isinstance(load(text), Catalogue)
