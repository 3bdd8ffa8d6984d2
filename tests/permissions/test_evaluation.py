"""Who has which access; and the law that ties the report to single requests."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.permissions.accesses import ACCESSES, Effect
from audit_operator.permissions.authorizer import Question, decide
from audit_operator.permissions.evaluation import evaluate, implied_groups
from audit_operator.permissions.places import Place
from audit_operator.permissions.rbac import NOTHING, Subject
from tests.examples import examples
from tests.permissions.objects import EXPECTED, PLACES, binding, rbac, role, rule

BY_ID = {each.id: each for each in ACCESSES}


def held(*documents, places=PLACES):
    """By subject and access, where."""
    return {
        (str(each.subject), each.access.id): {grant.namespace for grant in each.grants}
        for each in evaluate(rbac(*documents), places, EXPECTED)
    }


def accesses(*rules, namespace="audit-operator"):
    found = held(role("r", *rules), binding("b", "r", "User alice", namespace=namespace))
    return {access for _, access in found}


def test_ids_are_unique_and_every_access_has_a_reason_and_a_mend():
    assert len(BY_ID) == len(ACCESSES)
    assert all(each.reason and each.mend and each.title and each.ways for each in ACCESSES)
    assert {effect for each in ACCESSES for effect in each.effects} == set(Effect)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (rule("get", "pods/log"), {"pod-logs"}),
        (rule("list", "secrets"), {"secrets"}),
        (rule("create", "pods"), {"run-pods"}),
        (rule("patch", "daemonsets", "apps"), {"run-pods", "workloads"}),
        (rule("delete", "cronjobs", "batch"), {"workloads"}),
        (rule("create", "pods/exec"), {"enter-pods"}),
        (rule("create", "serviceaccounts/token"), {"tokens"}),
        (rule("impersonate", "serviceaccounts"), {"impersonate-accounts"}),
        (rule("delete", "leases", "coordination.k8s.io"), {"instructions"}),
        (rule("get list watch", "pods configmaps"), set()),
        # Objects without a namespace are beyond a RoleBinding.
        (rule("*", "nodes nodes/proxy persistentvolumes"), set()),
        (rule("*", "auditcontrolplanes", "audit-operator.dev"), set()),
    ],
)
def test_what_a_right_in_the_operators_namespace_leads_to(given, expected):
    assert accesses(given) == expected


def test_elsewhere_the_same_rights_are_nobodys_business():
    given = rule("*", "pods/log secrets pods pods/exec serviceaccounts/token configmaps services")
    assert accesses(given, namespace="payments") == set()
    # But where pod security lets a pod mount folders of the node.
    assert accesses(given, namespace="lab") == {"mount-nodes"}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("auditcontrolplanes", "control-planes"),
        ("clusterauditpolicies", "cluster-policies"),
        ("clusterauditsinks", "cluster-sinks"),
        ("auditpolicies", "policies"),
        ("auditpolicies/status", "status-in-namespaces"),
    ],
)
def test_who_may_write_our_kinds(resource, expected):
    documents = role("r", rule("patch", resource, "audit-operator.dev")), binding("b", "r", "Group dev")
    assert held(*documents) == {("Group dev", expected): {""}}


def test_our_definitions_alone_matter_and_names_are_said():
    ours = rule(
        "delete", "customresourcedefinitions", "apiextensions.k8s.io", ["auditpolicies.audit-operator.dev", "x"]
    )
    theirs = rule("delete", "customresourcedefinitions", "apiextensions.k8s.io", ["x"])
    assert held(role("r", theirs), binding("b", "r", "User alice")) == {}
    [only] = evaluate(rbac(role("r", ours), binding("b", "r", "User alice")), PLACES, EXPECTED)
    assert only.grants[0].names == {"auditpolicies.audit-operator.dev"}


def test_a_right_to_what_there_is_not_leads_to_nothing_and_one_to_more_does():
    assert accesses(rule("patch", "pods", names=[NOTHING])) == set()
    assert accesses(rule("patch", "daemonsets", "apps", names=[NOTHING])) == set()
    assert accesses(rule("patch", "daemonsets", "apps", names=[NOTHING, "audit-shipper"]))


def test_permissions_that_are_needed_together_may_come_from_two_bindings_but_are_needed_both():
    group = "rbac.authorization.k8s.io"
    half = role("half", rule("escalate", "clusterroles", group)), binding("b", "half", "ServiceAccount lab/robot")
    assert held(*half) == {}
    rest = role("rest", rule("create", "clusterroles", group)), binding("c", "rest", "Group system:serviceaccounts:lab")
    robot = ("ServiceAccount lab/robot", "escalate-cluster-roles")
    assert held(*half, *rest)[robot] == {""}
    assert robot not in held(*half, rest[0], binding("c", "rest", "Group system:serviceaccounts:payments"))


def test_permissions_for_two_objects_are_no_permission_for_one():
    group = "rbac.authorization.k8s.io"
    given = [rule("escalate", "clusterroles", group, ["a"]), rule("update", "clusterroles", group, ["b"])]
    found = held(role("r", *given), binding("b", "r", "User alice"))
    assert ("User alice", "escalate-cluster-roles") not in found


def test_csr_approval_matters_for_signers_that_the_api_server_believes():
    group = "certificates.k8s.io"
    approval = rule("update", "certificatesigningrequests/approval", group)

    def with_signer(name):
        return held(role("r", approval, rule("approve", "signers", group, [name])), binding("b", "r", "User alice"))

    assert with_signer("kubernetes.io/kube-apiserver-client") == {("User alice", "approve-certificates"): {""}}
    assert with_signer("kubernetes.io/*")
    assert not with_signer("example.com/web")


def test_without_stores_nobody_reaches_them():
    documents = role("r", rule("create", "pods/portforward")), binding("b", "r", "User alice")
    assert held(*documents)
    assert held(*documents, places=replace(PLACES, stores=frozenset())) == {}


def test_a_service_account_named_as_a_user_is_the_same_subject():
    found = held(
        role("r", rule("get", "secrets")),
        binding("a", "r", "ServiceAccount lab/robot", namespace="logs"),
        binding("b", "r", "User system:serviceaccount:lab:robot", namespace="audit-operator"),
    )
    assert found == {("ServiceAccount lab/robot", "secrets"): {"logs", "audit-operator"}}


# The law: whoever is said to have an access may send a request of each of its permissions, and nobody else may.

NAMESPACES = ("audit-operator", "logs", "lab", "kube-system")
GROUP_NAMES = sorted({each.group for access in ACCESSES for way in access.ways for each in way} | {"*"})
RESOURCES = sorted({name for access in ACCESSES for way in access.ways for each in way for name in each.resources})
VERBS = sorted({verb for access in ACCESSES for way in access.ways for each in way for verb in each.verbs} | {"*"})
NAMES = ("a", "auditpolicies.audit-operator.dev", "kubernetes.io/*")
SUBJECTS = (
    "User alice",
    "Group dev",
    "Group system:authenticated",
    "Group system:serviceaccounts:lab",
    "Group system:serviceaccounts",
    "ServiceAccount lab/robot",
    "User system:anonymous",
    "Group system:unauthenticated",
)


@st.composite
def rules(draw):
    """About one access, with luck."""
    access = draw(st.sampled_from(ACCESSES))
    wanted = draw(st.sampled_from(draw(st.sampled_from(access.ways))))
    return {
        "verbs": draw(st.lists(st.sampled_from(wanted.verbs) | st.sampled_from(VERBS), min_size=1, max_size=3)),
        "apiGroups": draw(st.lists(st.just(wanted.group) | st.sampled_from(GROUP_NAMES), min_size=1, max_size=2)),
        "resources": draw(
            st.lists(
                st.sampled_from(wanted.resources) | st.sampled_from([*RESOURCES, "*", "*/log", "*/exec", "*/status"]),
                min_size=1,
                max_size=3,
            )
        ),
        "resourceNames": draw(st.just([]) | st.lists(st.sampled_from(NAMES), max_size=2)),
    }


@st.composite
def clusters(draw):
    documents = []
    for number in range(draw(st.integers(1, 4))):
        documents.append(role(f"r{number}", *draw(st.lists(rules(), min_size=1, max_size=3))))
        for other in range(draw(st.integers(1, 3))):
            namespace = draw(st.sampled_from(("", *NAMESPACES)))
            who = draw(st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=2))
            documents.append(binding(f"b{number}-{other}", f"r{number}", *who, namespace=namespace))
    return rbac(*documents)


def _possible(facts, subject, access, namespace):
    """Whether single requests say so."""
    groups = {*implied_groups(subject), *([subject.name] if subject.kind == "Group" else [])}

    def may(permission, name):
        return any(
            decide(facts, subject.user, groups, Question(verb, permission.group, resource, name, namespace))
            for verb in permission.verbs
            for resource in permission.resources
        )

    def some(permission):
        return {name for name in (permission.names or {*NAMES, "fresh"}) if may(permission, name)}

    for way in access.ways:
        found = [(each.resources, some(each)) for each in way]
        one_object = all(a & b for resource, a in found for other, b in found if resource == other)
        if one_object and all(names for _, names in found):
            return True
    return False


@settings(deadline=None, max_examples=examples(25))
@given(clusters())
def test_the_report_says_what_single_requests_would_be_answered(facts):
    said = {
        (each.subject, each.access.id): {g.namespace for g in each.grants} for each in evaluate(facts, PLACES, EXPECTED)
    }
    subjects = {each for one in facts.bindings for each in one.subjects}
    for subject in subjects:
        implied = [Subject("Group", name) for name in implied_groups(subject)]
        for access in ACCESSES:
            # What somebody has as a member of a group is said of the group.
            where = {place for each in (subject, *implied) for place in said.get((each, access.id), ())}
            if Place.CLUSTER in access.places:
                assert ("" in where) is _possible(facts, subject, access, "")
                continue
            for namespace in NAMESPACES:
                if any(PLACES.holds(place, namespace) for place in access.places):
                    expected = _possible(facts, subject, access, namespace)
                    assert bool(where & {"", namespace}) is expected, (subject, access.id, namespace)
                else:
                    assert namespace not in where
