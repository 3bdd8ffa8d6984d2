"""What the real kube-apiserver says of policies, before it is asked to run them."""

from __future__ import annotations

import pytest

from audit_operator.controlplane.preflight import Verdict, preflight
from audit_operator.policy.gates import Version
from audit_operator.policy.loading import load_policy

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
RULE = HEAD + "rules:\n- level: None\n  "

REFUSED = {
    "unknown level": (HEAD + "rules: [{level: Foo}]", "Unsupported value"),
    "no level": (HEAD + "rules: [{verbs: [get]}]", "Required value"),
    "level in the wrong case": (HEAD + "rules: [{Level: None}]", "Required value"),
    "no rules": (HEAD + "rules: []", "0 rules"),
    "rules left out": (HEAD, "0 rules"),
    "an old version": ("apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules: [{level: None}]", "no kind"),
    "a version to come": ("apiVersion: audit.k8s.io/v2\nkind: Policy\nrules: [{level: None}]", "no kind"),
    "another kind": ("apiVersion: audit.k8s.io/v1\nkind: PolicyX\nrules: [{level: None}]", "no kind"),
    "empty": ("", "unknown group version"),
    "no version": ("rules: [{level: None}]", "unknown group version"),
    "not YAML": ("{{{", "failed decoding"),
    "a string for a list": (RULE + "verbs: get", "cannot unmarshal string"),
    "a number in a list": (RULE + "users: [1]", "cannot unmarshal number"),
    "a boolean in a list": (RULE + "users: [yes]", "cannot unmarshal bool"),
    "a group with version": (RULE + "resources: [{group: apps/v1}]", "RFC 1123"),
    "names without resources": (RULE + "resources: [{group: apps, resourceNames: [a]}]", "at least one resource"),
    "resources and URLs": (RULE + "resources: [{group: apps}]\n  nonResourceURLs: [/x]", "both regular resources"),
    "a wildcard within a URL": (RULE + "nonResourceURLs: [/a*b]", "final character"),
    "a URL without slash": (RULE + "nonResourceURLs: [healthz]", "begin with"),
    "no such stage": (RULE + "omitStages: [Response]", "allowed stages"),
}
ACCEPTED = {
    "a plain one": HEAD + "rules: [{level: Metadata}]",
    "any group, since 1.36": RULE + 'resources: [{group: "*"}]',
    "anchors": HEAD + "rules:\n- level: None\n  users: &u [a]\n- level: Metadata\n  users: *u",
    "a second document that nobody reads": HEAD + "rules: [{level: None}]\n---\nrules: 7\n",
}
LENIENT = {
    "an unknown key in a rule": RULE + "verb: [get]",
    "an unknown key": HEAD + "rulez: []\nrules: [{level: None}]",
    "a key twice": HEAD + "rules:\n- level: None\n  level: Metadata",
}
GATED = {
    "any group": RULE + 'resources: [{group: "*"}]',
    "any group that has it": RULE + 'resources: [{group: apps}, {group: "*", resources: ["*/status", deployments]}]',
    "objects of any group": RULE + 'resources: [{group: "*", resources: [pods], resourceNames: [a]}]',
    "any group in a later rule": RULE + 'verbs: [get]\n- level: Metadata\n  resources: [{group: "*"}]',
}
NEVER = {
    "some groups": RULE + 'resources: [{group: "*.k8s.io"}]',
    "any group twice": RULE + 'resources: [{group: "**"}]',
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_policy_that_the_api_server_refuses_is_refused_in_its_words(assets, case):
    text, expected = REFUSED[case]
    judged = preflight(assets.kube_apiserver, text)
    assert judged.verdict is Verdict.REFUSED
    assert expected in judged.findings[0].message


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_policy_that_it_takes_is_flawless(assets, case):
    assert preflight(assets.kube_apiserver, ACCEPTED[case]).flawless


@pytest.mark.parametrize("case", LENIENT)
def test_what_it_would_drop_in_silence_is_said(assets, case):
    judged = preflight(assets.kube_apiserver, LENIENT[case])
    assert judged.verdict is Verdict.ACCEPTED
    assert judged.findings


@pytest.mark.parametrize("case", GATED)
def test_what_came_with_a_minor_is_refused_by_the_one_before_and_we_know_it(assets, older_api_server, case):
    for binary, version, verdict in (
        (older_api_server, Version(1, 35), Verdict.REFUSED),
        (assets.kube_apiserver, Version(1, 37), Verdict.ACCEPTED),
    ):
        judged, loaded = preflight(binary, GATED[case]), load_policy(GATED[case], kubernetes=version)
        assert judged.verdict is verdict
        assert (loaded.policy is None) == (verdict is Verdict.REFUSED)


@pytest.mark.parametrize("case", [*REFUSED, *NEVER])
def test_everything_else_is_refused_by_both_minors(assets, older_api_server, case):
    text = NEVER.get(case) or REFUSED[case][0]
    for binary, version in ((older_api_server, Version(1, 35)), (assets.kube_apiserver, Version(1, 37))):
        assert preflight(binary, text).verdict is Verdict.REFUSED
        assert load_policy(text, kubernetes=version).policy is None


@pytest.mark.parametrize("case", LENIENT)
def test_both_minors_drop_the_same_in_silence(older_api_server, case):
    judged = preflight(older_api_server, LENIENT[case])
    assert judged.verdict is Verdict.ACCEPTED
    assert judged.findings
