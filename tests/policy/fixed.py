"""One composition with every feature, the same in every process."""

from __future__ import annotations

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.model import GroupResources, Policy, Rule

_ALL = frozenset({"payments", "web", "kube-system"})

CONTRIBUTIONS = (
    Contribution(
        Reach(_ALL, unseen_namespaces=True, cluster=True, non_resource=True),
        Policy(
            (
                Rule(Level.NONE, non_resource_urls=("/healthz*", "/livez*", "/readyz*")),
                Rule(
                    Level.NONE,
                    user_groups=("system:nodes",),
                    verbs=("get",),
                    resources=(GroupResources("", ("nodes",)),),
                ),
                Rule(
                    Level.REQUEST,
                    verbs=("create", "update", "patch"),
                    resources=(GroupResources("", ("pods", "services")), GroupResources("apps")),
                ),
                Rule(Level.METADATA),
            ),
            frozenset({Stage.REQUEST_RECEIVED}),
        ),
        limits=(Rule(Level.METADATA, resources=(GroupResources("", ("secrets", "configmaps")),)),),
    ),
    Contribution(
        Reach(frozenset({"payments"})),
        Policy(
            (
                Rule(Level.REQUEST_RESPONSE, users=("b", "a"), resources=(GroupResources("", ("secrets", "pods/*")),)),
                Rule(Level.REQUEST, user_groups=("ops", "dev"), verbs=("delete", "create")),
            ),
            omit_managed_fields=True,
        ),
    ),
    Contribution(Reach(frozenset({"web"})), Policy((Rule(Level.REQUEST, user_groups=("dev", "sre")),))),
)
