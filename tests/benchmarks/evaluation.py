"""Requests judged per second, by the evaluator as upstream has it and by the compiled one."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.policy.compiled_evaluator import compile_evaluator
from audit_operator.policy.compose import compose
from audit_operator.policy.evaluate import evaluate
from audit_operator.policy.loading import load_policy
from audit_operator.policy.model import Request, User
from tests.benchmarks.compose import BASELINE, contributions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REQUESTS = 20_000


def run() -> Iterator[str]:
    yield "| policy | rules | `evaluate`, requests/s | `compile_evaluator`, first pass | warm |"
    yield "|---|---|---|---|---|"
    baseline = load_policy(Path(BASELINE).read_text()).policy
    assert baseline is not None
    demands, namespaces = contributions(100, 30)
    for name, policy in (("GCE", baseline), ("compiled, 30 distinct", compose(demands, namespaces=namespaces).policy)):
        requests = list(sample())
        compiled = compile_evaluator(policy)
        rates = [
            rate(lambda each, p=policy: evaluate(p, each), requests),
            rate(compiled, requests),
            rate(compiled, requests),
        ]
        yield f"| {name} | {len(policy.rules)} | " + " | ".join(f"{each:,.0f}" for each in rates) + " |"


def sample() -> Iterator[Request]:
    draw = random.Random(1)
    users = [
        User(f"user-{number}", ("system:authenticated", draw.choice(["dev", "team", "ops"]))) for number in range(50)
    ]
    namespaces = [f"team-{number:05d}" for number in range(100)]
    for _ in range(REQUESTS):
        yield Request(
            draw.choice(users),
            draw.choice(["get", "list", "watch", "create", "update", "patch", "delete"]),
            resource_request=True,
            api_group=draw.choice(["", "apps", "batch", "rbac.authorization.k8s.io"]),
            namespace=draw.choice(namespaces),
            resource=draw.choice(["pods", "services", "secrets", "configmaps", "events", "deployments"]),
            name=f"x-{draw.randrange(1000)}",
        )


def rate(judge: Callable[[Request], object], requests: list[Request]) -> float:
    started = time.perf_counter()
    for request in requests:
        judge(request)
    return len(requests) / (time.perf_counter() - started)
