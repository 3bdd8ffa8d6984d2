"""The evaluation of RBAC against a real API server, which is asked by SubjectAccessReview."""

from __future__ import annotations

import http.client
import json
import random
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest

from audit_operator.cli import main
from audit_operator.controlplane.api_server import trust
from audit_operator.permissions.accesses import ACCESSES
from audit_operator.permissions.authorizer import Question, decide
from audit_operator.permissions.evaluation import evaluate
from audit_operator.permissions.expected import Expected, Installation
from audit_operator.permissions.places import Places
from audit_operator.permissions.rbac import KINDS, rbac_of
from tests.integration.control_plane import RunningControlPlane
from tests.integration.operator_process import eventually
from tests.permissions.objects import API, binding, role, rule

SEED = 6
QUESTIONS = 400
MARKER = "last-of-all"
NAMESPACES = ("red", "blue")
PATHS = {
    "ClusterRole": "clusterroles",
    "Role": "roles",
    "ClusterRoleBinding": "clusterrolebindings",
    "RoleBinding": "rolebindings",
}
PERMISSIONS = [each for access in ACCESSES for way in access.ways for each in way]
CALLERS = (
    ("alice", ("dev", "system:authenticated")),
    ("bob", ("system:authenticated",)),
    ("system:anonymous", ("system:unauthenticated",)),
    *(
        (
            f"system:serviceaccount:{namespace}:robot",
            ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"),
        )
        for namespace in NAMESPACES
    ),
)
SUBJECTS = (
    "User alice",
    "User bob",
    "Group dev",
    "Group system:serviceaccounts",
    "Group system:serviceaccounts:red",
    "Group system:unauthenticated",
    "ServiceAccount red/robot",
    "User system:serviceaccount:blue:robot",
)
NAMES = ("a", "b")


class Asked(RunningControlPlane):
    """One connection for all questions: each has an answer within a millisecond, and a TLS handshake takes fifty."""

    def __init__(self, assets):
        super().__init__(assets)
        self.connection = None

    def asked(self, review):
        if self.connection is None:
            context = trust(self.plane.api_server.certificates)
            self.connection = http.client.HTTPSConnection(urlsplit(self.url).netloc, timeout=60, context=context)
        headers = {"Authorization": f"Bearer {self.plane.token('admin')}", "Content-Type": "application/json"}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        self.connection.request("POST", path, json.dumps(review), headers)
        with self.connection.getresponse() as response:
            body = response.read()
        assert response.status == HTTPStatus.CREATED, body
        return json.loads(body)


@pytest.fixture(scope="module")
def cluster(assets):
    control_plane = Asked(assets)
    with control_plane.plane:
        for each in NAMESPACES:
            control_plane.create_namespace(each)
        yield control_plane
        if control_plane.connection is not None:
            control_plane.connection.close()


@pytest.fixture(scope="module")
def facts(cluster):
    """The generated objects, and those that every API server makes, as they are stored."""
    draw = random.Random(SEED)
    cluster.apply(*_generated(draw))
    # One write after all others: what is decided on it was decided on them.
    cluster.apply(role(MARKER, rule("get", "markers", "none")), binding(MARKER, MARKER, f"User {MARKER}"))
    question = Question("get", "none", "markers")
    eventually(lambda: _asked(cluster, MARKER, (), question), "the authorizer to know every binding")
    return _stored(cluster)


def _generated(draw):
    for number in range(16):
        namespace = draw.choice(("", "", *NAMESPACES))
        rules = [_rule(draw) for _ in range(draw.randint(1, 3))]
        yield role(f"r{number}", *rules, namespace=namespace)
        for other in range(2):
            where = namespace or draw.choice(("", *NAMESPACES))
            subjects = draw.sample(SUBJECTS, 2) + (["ServiceAccount robot"] if where else [])
            kind = "Role" if namespace else "ClusterRole"
            yield binding(f"b{number}-{other}", f"r{number}", *subjects, namespace=where, kind=kind)
    yield binding("dangling", "no-such-role", "User alice")


def _rule(draw):
    wanted = draw.choice(PERMISSIONS)
    resources = [*wanted.resources, "*/log", "*/exec", "*/scale", "pods", "secrets", *(["*"] * draw.randint(0, 2))]
    verbs = [*wanted.verbs, "get", "create", *(["*"] * draw.randint(0, 1))]
    return rule(
        " ".join(draw.sample(verbs, 2)),
        " ".join(draw.sample(resources, 2)),
        draw.choice((wanted.group, wanted.group, "*")),
        draw.sample(NAMES, 1) if draw.random() < 0.3 else (),
    )


def _stored(cluster):
    documents = []
    for kind, plural in PATHS.items():
        items = cluster.get(f"/apis/{API}/{plural}")["items"]
        documents += [{**each, "kind": kind, "apiVersion": API} for each in items]
    assert {each["kind"] for each in documents} == set(KINDS)
    return rbac_of(documents)


def _asked(cluster, user, groups, question):
    resource, _, subresource = question.resource.partition("/")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user,
            "groups": list(groups),
            "resourceAttributes": {
                "verb": question.verb,
                "group": question.group,
                "resource": resource,
                "subresource": subresource,
                "name": question.name,
                "namespace": question.namespace,
            },
        },
    }
    return cluster.asked(review)["status"]["allowed"]


def test_single_requests_are_decided_as_the_api_server_decides_them(cluster, facts):
    draw = random.Random(SEED + 1)
    answers = {True: 0, False: 0}
    for _ in range(QUESTIONS):
        permission = draw.choice(PERMISSIONS)
        user, groups = draw.choice(CALLERS)
        question = Question(
            draw.choice(permission.verbs),
            permission.group,
            draw.choice(permission.resources),
            draw.choice(("", *NAMES, "c")),
            draw.choice(("", *NAMESPACES, "elsewhere")),
        )
        allowed = _asked(cluster, user, groups, question)
        assert (decide(facts, user, groups, question) is not None) is allowed, (user, groups, question)
        answers[allowed] += 1
    # Else this would show nothing.
    assert min(answers.values()) > QUESTIONS / 10, answers


def test_whatever_the_report_says_is_allowed_by_the_api_server(cluster, facts):
    places = Places(frozenset({"red"}), frozenset({"blue"}))
    holdings = [
        each
        for each in evaluate(facts, places, Expected(Installation("red", "red", "audit-operator")))
        if len(each.access.ways) == 1 and len(each.access.ways[0]) == 1 and not each.expected
    ]
    assert len(holdings) > 20
    for each in random.Random(SEED).sample(holdings, 20):
        [[permission]] = each.access.ways
        grant = each.grants[0]
        groups = (each.subject.name,) if each.subject.kind == "Group" else ()
        names = sorted(grant.names) or sorted(permission.names) or ["any"]
        assert any(
            _asked(cluster, each.subject.user, groups, Question(verb, permission.group, resource, names[0], where))
            for verb in permission.verbs
            for resource in permission.resources
            for where in ([grant.namespace] if grant.namespace else ["", "anywhere"])
        ), each


def test_a_new_cluster_has_nobody_unexpected(facts):
    generated = {f"b{number}-{other}" for number in range(16) for other in range(2)} | {"dangling", MARKER}
    places = Places(frozenset({"red"}), frozenset({"blue"}))
    found = evaluate(facts, places, Expected(Installation("red", "red", "audit-operator")))
    unexpected = {
        (str(each.subject), grant.binding.name, grant.role.name, each.access.id)
        for each in found
        for grant in each.grants
        if not grant.expected and grant.binding.name not in generated
    }
    assert unexpected == set()
    assert any(each.expected for each in found)


def test_somebody_who_is_said_to_act_as_others_for_some_requests_does(cluster):
    group, on = "authentication.k8s.io", "impersonate-on:user-info:list"
    cluster.apply(
        role("one-half", rule("impersonate:user-info", "users", group)),
        role("other-half", rule(on, "secrets")),
        binding("boss", "cluster-admin", "User boss"),
        binding("one-half", "one-half", "User alice"),
    )

    def answer():
        return cluster.request("GET", "/api/v1/secrets", user="alice", headers={"Impersonate-User": "boss"}).status

    expected = Expected(Installation("red", "red", "audit-operator"))
    found = evaluate(_stored(cluster), Places(frozenset({"red"})), expected)
    assert ("alice", "impersonate-for-some") in {(each.subject.name, each.access.id) for each in found}
    assert answer() == HTTPStatus.FORBIDDEN
    cluster.apply(binding("other-half", "other-half", "User alice"))
    eventually(lambda: answer() == HTTPStatus.OK, "the other half of the right")
    for each in ("boss", "one-half", "other-half"):
        cluster.kubectl("delete", "clusterrolebinding", each)


def test_the_command_reads_a_cluster(cluster, facts, capsys):
    arguments = ["permissions", "--kubeconfig", str(cluster.kubeconfig()), "-o", "json", "--operator-namespace", "red"]
    assert main(arguments) == 1
    result = json.loads(capsys.readouterr().out)
    places = Places(frozenset({"red", "red-agent"}), labels={"red": {}})
    held = evaluate(facts, places, Expected(Installation("red", "red-agent", "audit-operator")))
    assert {(each["subject"], each["access"]) for each in result["holdings"]} == {
        (str(each.subject), each.access.id) for each in held
    }
    # Our kinds are not installed here.
    assert any("nothing is known of stores" in each for each in result["unseen"])
    assert main([*arguments[:1], "--kubeconfig", str(cluster.kubeconfig("alice"))]) == 2
    assert "cannot read the cluster" in capsys.readouterr().err
