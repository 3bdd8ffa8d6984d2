"""How long composition takes, how large its result is, and what one request then costs to judge."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from audit_operator.api.audit import Level
from audit_operator.policy.compose import Composition, Precision, compose
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.evaluate import evaluate
from audit_operator.policy.loading import load_policy
from audit_operator.policy.model import GroupResources, Policy, Request, Rule, User
from audit_operator.policy.render import render

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BASELINE = Path(__file__).parents[1] / "reference-policies" / "gce-configure-helper.yaml"
SENSITIVE = Rule(Level.METADATA, resources=(GroupResources("", ("secrets", "configmaps")),))


def run() -> Iterator[str]:
    yield "| namespaces | distinct policies | precision | compile s | render s | rules | KiB | us per request |"
    yield "|---|---|---|---|---|---|---|---|"
    for namespaces, distinct in ((100, 10), (1_000, 30), (10_000, 30), (1_000, 1_000)):
        demands = contributions(namespaces, distinct)
        for precision in Precision if distinct <= 30 else (Precision.EXACT,):
            composition, seconds = timed(lambda d=demands, p=precision: compose(d[0], namespaces=d[1], precision=p))
            text, rendering = timed(lambda c=composition: render(c.policy))
            yield (
                f"| {namespaces:,} | {distinct:,} | {precision} | {seconds:.2f} | {rendering:.2f} "
                f"| {len(composition.policy.rules):,} | {len(text) / 1024:,.0f} | {per_request(composition):.0f} |"
            )


def contributions(namespaces: int, distinct: int) -> tuple[list[Contribution], list[str]]:
    """A 17-rule baseline with limits for all, and a 5-rule policy in each namespace."""
    names = [f"team-{number:05d}" for number in range(namespaces)]
    baseline = load_policy(BASELINE.read_text()).policy
    assert baseline is not None
    everywhere = Reach(frozenset(names), unseen_namespaces=True, cluster=True, non_resource=True)
    policies = [team_policy(seed) for seed in range(distinct)]
    own = [Contribution(Reach(frozenset({name})), policies[number % distinct]) for number, name in enumerate(names)]
    return [Contribution(everywhere, baseline, (SENSITIVE,)), *own], names


def team_policy(seed: int) -> Policy:
    draw = random.Random(seed)
    resources = ["pods", "services", "persistentvolumeclaims", "pods/exec", "pods/log", "serviceaccounts", "events"]
    verbs = ["get", "list", "create", "update", "patch", "delete"]
    return Policy(
        tuple(
            Rule(
                draw.choice([Level.REQUEST, Level.REQUEST_RESPONSE, Level.NONE]),
                user_groups=("team",) if number == 2 else (),
                verbs=tuple(draw.sample(verbs, 3)),
                resources=(GroupResources(draw.choice(["", "apps", "batch"]), tuple(draw.sample(resources, 3))),),
            )
            for number in range(5)
        )
    )


def per_request(composition: Composition) -> float:
    user = User("alice", ("dev", "system:authenticated"))
    requests = [
        Request(user, "get", resource_request=True, namespace=f"team-{number:05d}", resource="pods", name="web")
        for number in range(100)
    ]
    _, seconds = timed(lambda: [evaluate(composition.policy, request) for request in requests])
    return seconds / len(requests) * 1e6


def timed(action: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = action()
    return result, time.perf_counter() - start
