"""The composition rule, checked against what a real API server writes."""

from __future__ import annotations

import random

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.compose import compose
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.decision_list import NOTHING
from audit_operator.policy.model import GroupResources, Policy, Request, Rule, User
from audit_operator.policy.render import render
from tests.policy.law import asked

NAMESPACES = ("payments", "web", "lab")
GROUPS = {"admin": ("system:masters",), "alice": ("team-a",), "bob": ("team-b",)}
EVERYWHERE = Reach(frozenset(NAMESPACES), unseen_namespaces=True, cluster=True, non_resource=True)
RESOURCES = {"pods": "", "configmaps": "", "secrets": "", "deployments": "apps", "jobs": "batch"}


def random_rule(draw: random.Random, *, namespaced: bool) -> Rule:
    def some(values, most):
        return tuple(draw.sample(values, draw.randint(0, most)))

    resource = draw.choice(list(RESOURCES))
    spelling = draw.choice([resource, "*", f"{resource}/*", "*/log"])
    about_urls = not namespaced and draw.random() < 0.2
    return Rule(
        draw.choice(list(Level)),
        users=some(["alice", "bob"], 1),
        user_groups=some(["team-a", "team-b"], 1),
        verbs=some(["get", "list", "create", "delete"], 3),
        resources=() if about_urls or draw.random() < 0.3 else (GroupResources(RESOURCES[resource], (spelling,)),),
        namespaces=() if namespaced or about_urls else some([*NAMESPACES, ""], 2),
        non_resource_urls=("/version", "/healthz*") if about_urls else (),
        omit_stages=draw.choice([frozenset(), frozenset({Stage.REQUEST_RECEIVED})]),
    )


def random_contributions(seed: int) -> list[Contribution]:
    draw = random.Random(seed)
    own = [
        Contribution(
            Reach(frozenset({draw.choice(NAMESPACES)})),
            Policy(tuple(random_rule(draw, namespaced=True) for _ in range(3))),
        )
        for _ in range(3)
    ]
    limits = tuple(random_rule(draw, namespaced=False) for _ in range(2))
    baseline = Policy((*(random_rule(draw, namespaced=False) for _ in range(4)), Rule(Level.METADATA)))
    return [*own, Contribution(EVERYWHERE, baseline, limits)]


def sent(draw: random.Random) -> tuple[str, str, str, Request]:
    """User, method, path, and what the policy sees of it."""
    user = draw.choice(list(GROUPS))
    who = User(user, (*GROUPS[user], "system:authenticated"))
    if draw.random() < 0.15:
        path = draw.choice(["/version", "/healthz", "/apis"])
        return user, "GET", path, Request(who, "get", resource_request=False, path=path)
    resource, namespace = draw.choice(list(RESOURCES)), draw.choice([*NAMESPACES, "unseen", ""])
    group = RESOURCES[resource]
    verb, name = draw.choice([("get", "x"), ("list", ""), ("delete", "x"), ("deletecollection", "")])
    if not namespace:
        verb, name = "list", ""
    subresource = "log" if verb == "get" and resource == "pods" and draw.random() < 0.5 else ""
    method = "DELETE" if verb.startswith("delete") else "GET"
    prefix = f"/apis/{group}/v1" if group else "/api/v1"
    parts = [prefix, *(["namespaces", namespace] if namespace else []), resource, name, subresource]
    request = Request(who, verb, True, group, "v1", namespace, resource, subresource, name)
    # A dry run, so that nothing is deleted.
    query = "?dryRun=All" if method == "DELETE" else ""
    return user, method, "/".join(filter(None, parts)) + query, request


def test_the_events_of_a_real_api_server_carry_the_composed_level(control_plane):
    checked = 0
    for seed in range(6):
        contributions = random_contributions(seed)
        composition = compose(contributions, namespaces=NAMESPACES)
        with control_plane.audit_policy(render(composition.policy)):
            draw = random.Random(seed)
            for _ in range(60):
                user, method, path, request = sent(draw)
                response = control_plane.request(method, path, user=user)
                exact = asked(contributions, request, frozenset(NAMESPACES))
                events = control_plane.audit_events(response.audit_id)
                recorded = {Level(event["level"]) for event in events} or {Level.NONE}
                if composition.excess:
                    assert min(recorded) >= exact.level, (seed, user, method, path, composition.policy)
                else:
                    assert recorded == {exact.level}, (seed, user, method, path, composition.policy)
                    stages = {event["stage"] for event in events}
                    received = exact != NOTHING and Stage.REQUEST_RECEIVED not in exact.omit_stages
                    assert ("RequestReceived" in stages) == received, (seed, path)
                checked += 1
    assert checked == 360
