from __future__ import annotations

from dataclasses import replace

from audit_operator.api.audit import Level
from audit_operator.coverage.comparison import diff_coverage
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.coverage.verdicts import assess
from audit_operator.policy.model import Policy, Rule
from audit_operator.replay.noise import noise_rules
from audit_operator.replay.outcome import replay
from tests.replay.logs import counted, event

CATALOGUE = builtin_catalogue()
METADATA = Policy((Rule(Level.METADATA),))
CONTROLLER = "system:kube-controller-manager"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager"


def suggested(events, most=10):
    return noise_rules(counted(events, METADATA), METADATA, CATALOGUE, most=most)


def test_a_controller_that_renews_its_lease_is_noise():
    [found] = suggested([event("update", LEASE, CONTROLLER, [])] * 3 + [event("get", LEASE, CONTROLLER, [])])
    assert (found.rule.level, found.rule.users, found.rule.verbs) == (Level.NONE, (CONTROLLER,), ("get", "update"))
    assert found.spared.events == 4


def test_what_a_critical_action_needs_is_never_noise():
    read = event("get", "/api/v1/namespaces/web/secrets/x", "system:serviceaccount:web:app", ["system:serviceaccounts"])
    assert suggested([read] * 9) == ()


def test_people_and_the_unauthenticated_are_never_noise():
    events = [event("get", LEASE, user, []) for user in ("alice", "system:anonymous", None)]
    assert suggested(events * 5) == ()


def test_all_suggestions_together_change_no_verdict():
    talkers = [
        CONTROLLER,
        "system:kube-scheduler",
        "system:node:n1",
        "system:serviceaccount:kube-system:namespace-controller",
    ]
    paths = [
        LEASE,
        "/api/v1/namespaces/web/configmaps/x",
        "/api/v1/nodes/n1/status",
        "/apis/apps/v1/namespaces/web/deployments/x",
    ]
    events = [event(verb, uri, user, []) for user in talkers for uri in paths for verb in ("get", "update", "delete")]
    found = suggested([*events, event("get", "/readyz", "system:kube-scheduler", [])])
    assert found
    policy = replace(METADATA, rules=(*(each.rule for each in found), *METADATA.rules))
    assert diff_coverage(assess(METADATA, CATALOGUE), assess(policy, CATALOGUE)) == ()
    cells = counted(events, METADATA, policy)
    assert replay(cells, policy).total.events < replay(cells, METADATA).total.events


def test_only_so_many_are_suggested_and_the_largest_gain_comes_first():
    events = [
        event("get", LEASE.replace("leases", f"things{number}"), CONTROLLER, [])
        for number in range(4)
        for _ in range(number + 1)
    ]
    found = suggested(events, most=2)
    assert [each.spared.events for each in found] == [4, 3]
