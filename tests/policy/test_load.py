"""What the API server makes of a policy text, and what the user is told about it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.api.audit import Level, Stage
from audit_operator.api.findings import Finding, Severity
from audit_operator.policy.document import parse_document
from audit_operator.policy.gates import NEWEST, Version, required_version
from audit_operator.policy.loading import ErrorClass, LoadResult, load_document, load_policy
from audit_operator.policy.loading.load import MAX_FINDINGS
from audit_operator.policy.model import GroupResources, Policy, Rule
from audit_operator.policy.render import render
from tests.examples import examples
from tests.policy.conformance import normalize
from tests.policy.strategies import policies

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"


def load(rules: str, head: str = HEAD) -> LoadResult:
    return load_policy(f"{head}rules:\n{rules}")


def accepted(rules: str) -> Policy:
    result = load(rules)
    assert result.policy is not None, result.findings
    return result.policy


def only(findings: tuple[Finding, ...]) -> Finding:
    (finding,) = findings
    return finding


def test_everything_that_a_policy_can_say_is_understood() -> None:
    result = load_policy("""\
apiVersion: audit.k8s.io/v1
kind: Policy
metadata: {name: all, labels: {a: b}, creationTimestamp: 2001-01-01T00:00:00Z}
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: Request
  users: [alice]
  userGroups: [dev]
  verbs: [get]
  resources: [{group: apps, resources: [deployments], resourceNames: [web]}]
  namespaces: [shop]
  omitStages: [Panic]
  omitManagedFields: false
- level: None
  nonResourceURLs: ["/healthz*"]
""")
    assert result == LoadResult(
        Policy(
            rules=(
                Rule(
                    level=Level.REQUEST,
                    users=("alice",),
                    user_groups=("dev",),
                    verbs=("get",),
                    resources=(GroupResources("apps", ("deployments",), ("web",)),),
                    namespaces=("shop",),
                    omit_stages=frozenset({Stage.PANIC}),
                    omit_managed_fields=False,
                ),
                Rule(level=Level.NONE, non_resource_urls=("/healthz*",)),
            ),
            omit_stages=frozenset({Stage.REQUEST_RECEIVED}),
            omit_managed_fields=True,
        ),
        lenient=False,
    )


# --- null and empty ---------------------------------------------------------------------------------------------


def test_a_null_element_of_a_list_of_strings_is_the_empty_string() -> None:
    assert accepted("- {level: None, users: [a, ~, ]}").rules[0].users == ("a", "")
    assert accepted("- level: None\n  users:\n  -\n  - a").rules[0].users == ("", "a")


def test_a_null_entry_of_resources_is_all_of_core() -> None:
    assert accepted("- {level: None, resources: [~]}").rules[0].resources == (GroupResources(),)


def test_a_null_field_is_as_good_as_none() -> None:
    rule = accepted("- {level: None, users: ~, resources: ~, omitStages: ~, omitManagedFields: ~}").rules[0]
    assert rule == Rule(Level.NONE)


def test_a_null_rule_has_no_level() -> None:
    assert only(load("- ~").findings).path == "rules[0].level"


def test_a_null_kind_is_taken_for_a_policy_and_a_missing_one_too() -> None:
    for head in ("apiVersion: audit.k8s.io/v1\nkind: ~\n", "apiVersion: audit.k8s.io/v1\n"):
        assert load("- level: None", head).policy is not None


# --- types ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "path", "message", "mend"),
    [
        ("{level: None, verbs: [on]}", "rules[0].verbs[0]", "the boolean `on`", 'quote it: "on"'),
        ("{level: None, users: [017]}", "rules[0].users[0]", "the number `017`", 'quote it: "017"'),
        ("{level: None, verbs: get}", "rules[0].verbs", "the string 'get'", "write [get]"),
        ("{level: off}", "rules[0].level", "the boolean `off`", 'quote it: "off"'),
        ("{level: None, omitManagedFields: 'true'}", "rules[0].omitManagedFields", "the string 'true'", ""),
        ("{level: None, resources: {group: apps}}", "rules[0].resources", "a mapping", ""),
        ("{level: None, resources: [pods]}", "rules[0].resources[0]", "the string 'pods'", ""),
        ("{level: [None]}", "rules[0].level", "a list", ""),
    ],
)
def test_a_wrong_type_is_refused_at_its_place(rule: str, path: str, message: str, mend: str) -> None:
    result = load(f"- {rule}")
    finding = only(result.findings)
    assert (result.policy, result.lenient, result.refused) == (None, False, ErrorClass.DECODE)
    assert (finding.id, finding.severity, finding.path) == ("decode", Severity.ERROR, path)
    assert finding.message.startswith(f"{path} must be ")
    assert message in finding.message
    assert finding.mend == mend
    assert (finding.rule, finding.location.line) == (0, 4)


def test_every_wrong_type_is_reported() -> None:
    paths = [finding.path for finding in load("- {level: 5, verbs: [y, get, n]}\n- 5").findings]
    assert paths == ["rules[0].level", "rules[0].verbs[0]", "rules[0].verbs[2]", "rules[1]"]


@pytest.mark.parametrize(
    ("metadata", "valid"),
    [
        ("{generation: 5}", True),
        ("{generation: 1e3}", True),
        ("{generation: 1.5}", False),
        ("{generation: 1e21}", False),
        ("{generation: 9223372036854775808}", False),
        ("{creationTimestamp: ~}", True),
        ("{creationTimestamp: yesterday}", False),
        ("{creationTimestamp: 2001-01-01}", False),
        ("{labels: {a: ~}}", True),
        ("{labels: {a: 1}}", False),
        ("{labels: [a]}", False),
        ("{ownerReferences: [{controller: true}]}", True),
        ("{ownerReferences: [{controller: 1}]}", False),
        ("{managedFields: [{fieldsV1: {f:a: {}}, time: 2001-01-01T00:00:00Z}]}", True),
        ("{finalizers: [1]}", False),
        ("[]", False),
    ],
)
def test_metadata_is_decoded_too(metadata: str, *, valid: bool) -> None:
    result = load_policy(f"{HEAD}metadata: {metadata}\nrules:\n- level: None")
    assert (result.policy is not None) == valid, result.findings


def test_a_number_with_an_exponent_is_an_integer_in_yaml_and_none_in_json() -> None:
    head = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy"}
    written = head | {"metadata": {"generation": 7}, "rules": [{"level": "None"}]}
    text = json.dumps(written).replace("7", "1e3")
    assert load_policy(text).refused == "decode"
    assert load_policy(f"--- {text}").refused is None


# --- keys -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "path", "line", "mend"),
    [
        ("- level: None\n  verb: [get]", "rules[0].verb", 5, "write `verbs`"),
        ("- level: None\n  usergroups: [a]", "rules[0].usergroups", 5, "write `userGroups`"),
        ("- level: None\n  resources:\n  - gropu: apps", "rules[0].resources[0].gropu", 6, "write `group`"),
        ("- level: None\nwhatever: 5", "whatever", 5, "remove it"),
    ],
)
def test_an_unknown_key_is_dropped_and_reported(rules: str, path: str, line: int, mend: str) -> None:
    result = load(rules)
    finding = only(result.findings)
    assert result.policy is not None
    assert result.lenient
    assert (finding.id, finding.severity) == ("unknown-key", Severity.WARNING)
    assert (finding.path, finding.location.line, finding.mend) == (path, line, mend)


def test_a_misspelt_resources_key_widens_the_rule_to_all_of_core() -> None:
    assert accepted("- {level: None, resources: [{resource: [events]}]}").rules[0].resources == (GroupResources(),)


def test_an_anchor_has_a_top_level_key_that_is_unknown() -> None:
    result = load_policy(f"x: &verbs [get]\n{HEAD}rules:\n- {{level: None, verbs: *verbs}}")
    assert result.policy == Policy((Rule(Level.NONE, verbs=("get",)),))
    assert only(result.findings).path == "x"


def test_of_a_duplicate_key_the_last_value_counts_with_a_warning() -> None:
    result = load("- level: None\n  level: Metadata")
    finding = only(result.findings)
    assert result.policy == Policy((Rule(Level.METADATA),))
    assert result.lenient
    assert (finding.id, finding.path, finding.location.line) == ("duplicate-key", "rules[0].level", 5)


def test_a_key_that_overrides_a_merged_one_makes_decoding_lenient() -> None:
    result = load("- &base {level: None, verbs: [get]}\n- {<<: *base, level: Metadata}")
    assert result.lenient
    assert result.policy is not None
    assert result.policy.rules[1] == Rule(Level.METADATA, verbs=("get",))


def test_a_later_document_is_reported_though_the_api_server_says_nothing() -> None:
    result = load("- level: None\n---\nrules: []")
    finding = only(result.findings)
    assert result.policy is not None
    assert not result.lenient
    assert (finding.id, finding.location.line) == ("further-document", 5)


def json_policy(rules: str) -> LoadResult:
    return load_policy('{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", ' + rules + "}")


def test_a_repeated_list_in_json_is_decoded_into_the_first_one() -> None:
    # go.dev/issue/21092: the second rule keeps the users of the first list's rule at the same place.
    first = '"rules": [{"level": "None", "users": ["a", "b"]}, {"level": "Request"}]'
    result = json_policy(f'{first}, "rules": [{{"level": "Metadata", "users": [null]}}]')
    assert result.policy == Policy((Rule(Level.METADATA, users=("a",)),))
    assert result.lenient
    assert [finding.id for finding in result.findings] == ["duplicate-key"]


def test_what_the_shorter_list_cut_off_returns_with_a_longer_one() -> None:
    lists = ('"users": ["a", "b", "c"]', '"users": ["x"]', '"users": [null, null, null, null]')
    result = json_policy(f'"rules": [{{"level": "None", {", ".join(lists)}}}]')
    assert result.policy == Policy((Rule(Level.NONE, users=("x", "b", "c", "")),))


def test_an_empty_or_null_list_in_between_forgets_the_first_one() -> None:
    for between in ("[]", "null"):
        lists = ('"users": ["a"]', f'"users": {between}', '"users": [null]')
        result = json_policy(f'"rules": [{{"level": "None", {", ".join(lists)}}}]')
        assert result.policy == Policy((Rule(Level.NONE, users=("",)),))


def test_repeated_keys_in_json_that_nobody_decodes_are_no_duplicates() -> None:
    metadata = '"metadata": {"managedFields": [{"fieldsV1": {"a": 1, "a": 2}}]}'
    result = json_policy(f'{metadata}, "rules": [{{"level": "None"}}]')
    assert (result.lenient, result.findings) == (False, ())


# --- version and kind -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "path", "mend"),
    [
        ("kind: Policy\n", "apiVersion", "write `apiVersion: audit.k8s.io/v1`"),
        ("apiVersion: ''\nkind: Policy\n", "apiVersion", "write `apiVersion: audit.k8s.io/v1`"),
        ("apiVersion: audit.k8s.io/v1beta1\nkind: Policy\n", "apiVersion", "write `apiVersion: audit.k8s.io/v1`"),
        ("apiVersion: audit.k8s.io//v1\nkind: Policy\n", "apiVersion", "write `apiVersion: audit.k8s.io/v1`"),
        ("apiVersion: v1\nkind: ConfigMap\n", "apiVersion", "write `apiVersion: audit.k8s.io/v1`"),
        ("apiVersion: audit.k8s.io/v1\nkind: policy\n", "kind", "write `kind: Policy`"),
        ("apiVersion: audit.k8s.io/v1\nkind: Event\n", "kind", "write `kind: Policy`"),
    ],
)
def test_only_policies_of_the_stable_version_are_loaded(head: str, path: str, mend: str) -> None:
    result = load("- level: None", head)
    finding = only(result.findings)
    assert (result.policy, result.refused) == (None, ErrorClass.VERSION)
    assert (finding.path, finding.mend) == (path, mend)


@pytest.mark.parametrize("text", ["", "# nothing", "~"])
def test_an_empty_text_has_no_version(text: str) -> None:
    assert load_policy(text).refused == "version"


@pytest.mark.parametrize("text", ["[]", "just words", "5", "apiVersion: [a]", "apiVersion: audit.k8s.io/v1\nKIND: 5"])
def test_what_cannot_hold_a_version_is_not_decoded(text: str) -> None:
    assert load_policy(text).refused == "decode"


def test_version_and_kind_are_found_whatever_their_case_but_still_unknown() -> None:
    result = load_policy("ApiVersion: audit.k8s.io/v1\nKIND: Policy\nrules:\n- level: None")
    assert result.policy is not None
    assert [finding.path for finding in result.findings] == ["ApiVersion", "KIND"]


def test_of_two_spellings_of_kind_the_last_in_sort_order_counts() -> None:
    assert load_policy(f"{HEAD}Kind: Event\nrules:\n- level: None").policy is not None
    assert load_policy(f"{HEAD}\u017find: x\nk\u0131nd: x\nrules:\n- level: None").policy is not None
    assert load_policy(f"{HEAD}\u212aind: Event\nrules:\n- level: None").refused == "version"


def test_without_a_version_what_the_internal_type_lacks_is_logged_first() -> None:
    assert load_policy("kind: Policy\nrules: []").lenient
    assert not load_policy("kind: Policy\nRules: []\nname: x").lenient
    assert load_policy("kind: Policy\nRules: 5").refused == "decode"


# --- validation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "paths"),
    [
        ("- {}", ["rules[0].level"]),
        ("- {Level: None}", ["rules[0].level"]),
        ("- {level: none}", ["rules[0].level"]),
        ("- {level: None, omitStages: [Panic, panic]}", ["rules[0].omitStages[1]"]),
        (
            "- {level: None, nonResourceURLs: ['*', healthz, '', '/a*b', '/a**']}",
            [f"rules[0].nonResourceURLs[{n}]" for n in (1, 2, 3, 4)],
        ),
        ("- {level: None, resources: [{}, {group: apps/v1}]}", ["rules[0].resources[1].group"]),
        ("- {level: None, resources: [{group: 'Apps'}]}", ["rules[0].resources[0].group"]),
        ("- {level: None, resources: [{group: 'a..b'}]}", ["rules[0].resources[0].group"]),
        (f"- {{level: None, resources: [{{group: {'a' * 254}}}]}}", ["rules[0].resources[0].group"]),
        ("- {level: None, resources: [{resourceNames: [a]}]}", ["rules[0].resources[0].resourceNames"]),
        ("- {level: None, nonResourceURLs: [/a], namespaces: [b]}", ["rules[0].nonResourceURLs"]),
        ("- {level: None, nonResourceURLs: [/a], resources: [~]}", ["rules[0].nonResourceURLs"]),
    ],
)
def test_what_validation_refuses(rules: str, paths: list[str]) -> None:
    result = load(rules)
    assert (result.policy, result.refused) == (None, ErrorClass.VALIDATION)
    assert [finding.path for finding in result.findings if finding.severity is Severity.ERROR] == paths


def test_wrong_stages_of_the_whole_policy_are_refused_too() -> None:
    assert only(load_policy(f"{HEAD}omitStages: [x]\nrules:\n- level: None").findings).path == "omitStages[0]"


@pytest.mark.parametrize(
    "rule",
    [
        "{level: None, verbs: ['*', BOGUS]}",
        "{level: None, resources: [{resources: ['*/*', 'pods/', '']}]}",
        "{level: None, namespaces: ['*']}",
        "{level: None, users: ['']}",
        "{level: None, nonResourceURLs: ['*', '/*', '/', /a*]}",
        f"{{level: None, resources: [{{group: {'a' * 253}}}]}}",
    ],
)
def test_what_validation_lets_pass(rule: str) -> None:
    accepted(f"- {rule}")


@pytest.mark.parametrize("rules", ["[]", "~"])
def test_a_policy_needs_a_rule(rules: str) -> None:
    result = load_policy(f"{HEAD}rules: {rules}")
    assert (result.policy, result.refused, only(result.findings).id) == (None, ErrorClass.NO_RULES, "no-rules")
    assert load_policy(HEAD).refused == "no-rules"


def test_lenient_decoding_does_not_save_an_invalid_policy() -> None:
    result = load("- {Level: None}")
    assert (result.refused, result.lenient) == ("validation", True)
    assert [finding.id for finding in result.findings] == ["validation", "unknown-key"]


# --- versions of Kubernetes -------------------------------------------------------------------------------------


def test_every_group_at_once_needs_kubernetes_1_36() -> None:
    text = f"{HEAD}rules:\n- level: None\n  resources:\n  - group: '*'"
    assert load_policy(text, kubernetes=Version(1, 36)).policy is not None
    old = load_policy(text, kubernetes=Version(1, 35))
    assert old.refused == "validation"
    assert "1.36" in only(old.findings).message


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.36", Version(1, 36)),
        ("v1.36.2", Version(1, 36)),
        ("1.30+", Version(1, 30)),
        ("v1.30.4-eks-036c24b", Version(1, 30)),
        ("1.37.0-beta.1", Version(1, 37)),
        (" 1.29 ", Version(1, 29)),
        ("1", None),
        ("latest", None),
        ("", None),
        ("1.1000000000000", None),
    ],
)
def test_versions_are_read_as_clusters_report_them(text: str, version: Version | None) -> None:
    assert Version.parse(text) == version


def test_versions_are_ordered_and_written_as_usual() -> None:
    assert Version(1, 9) < Version(1, 10) < NEWEST
    assert str(Version(1, 36)) == "1.36"


def test_the_version_that_a_policy_needs_is_known() -> None:
    assert required_version(Policy((Rule(Level.NONE),))) is None
    wildcard = Rule(Level.NONE, resources=(GroupResources("apps"), GroupResources("*")))
    assert required_version(Policy((Rule(Level.NONE), wildcard))) == Version(1, 36)


# --- findings ---------------------------------------------------------------------------------------------------


def test_findings_name_the_file_and_stand_in_the_order_of_the_text() -> None:
    text = f"{HEAD}rules:\n- verb: [get]\n  level: None\n- level: None\n  level: None\n  verbs: [on]\n"
    findings = load_policy(text, file="policy.yaml").findings
    assert [(finding.location.file, finding.location.line) for finding in findings] == [
        ("policy.yaml", line) for line in (4, 7, 8)
    ]
    assert [finding.rule for finding in findings] == [0, 1, 1]


def test_a_hundred_thousand_faults_are_not_all_told() -> None:
    result = load("- {level: None, x: 1, users: [on]}\n" * 3 * MAX_FINDINGS)
    severities = [finding.severity for finding in result.findings]
    assert severities.count(Severity.ERROR) == severities.count(Severity.WARNING) == MAX_FINDINGS
    assert result.findings[-1].id == "further-findings"
    assert str(4 * MAX_FINDINGS) in result.findings[-1].message
    assert result.refused == "decode"


def test_a_parsed_document_need_not_be_parsed_again() -> None:
    text = f"{HEAD}rules:\n- {{level: None, verb: [get]}}"
    assert load_document(parse_document(text)) == load_policy(text)


# --- laws -------------------------------------------------------------------------------------------------------


@given(policies())
def test_a_rendered_policy_loads_as_itself_without_a_word(policy: Policy) -> None:
    result = load_policy(render(policy))
    assert result == LoadResult(policy, lenient=False)


@given(policies())
def test_yaml_and_json_of_a_policy_load_alike(policy: Policy) -> None:
    written = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", **normalize(policy)}
    text = json.dumps(written)
    assert load_policy(text) == load_policy(f"--- {text}") == LoadResult(policy, lenient=False)


scalars: st.SearchStrategy[Any] = st.sampled_from(["None", "get", "/x", "*", "", None, True, 5, 1.5, "on"])
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["level", "users", "verbs", "resources", "group", "namespaces", "rules", "omitStages", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=examples(200))
@given(anything, anything)
def test_whatever_stands_in_a_policy_it_loads_or_says_why_not(rules: Any, metadata: Any) -> None:
    text = json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "metadata": metadata, "rules": rules})
    for result in (load_policy(text), load_policy(f"--- {text}")):
        errors = [finding for finding in result.findings if finding.severity is Severity.ERROR]
        assert bool(errors) == (result.policy is None) == (result.refused is not None)
        assert all(finding.message and finding.location.line for finding in errors)
    assert load_policy(text).policy == load_policy(f"--- {text}").policy


def test_ten_thousand_rules_and_a_mebibyte_load() -> None:
    entry = "  resources:\n  - group: apps\n    resources: [deployments]\n"
    rule = f"- level: Metadata\n  users: [system:kube-proxy, alice]\n  verbs: [get, list]\n{entry}"
    text = f"{HEAD}rules:\n{rule * 10_000}"
    assert len(text) > 1 << 20
    result = load_policy(text)
    assert result.policy is not None
    assert len(result.policy.rules) == 10_000
