"""Report objects say what is so, are written when that changes and not else, and are never anybody else's."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp
import pytest

from audit_operator.api.observations import ApiServerObservation
from audit_operator.cluster.backoff import Backoff
from audit_operator.cluster.rate_limit import RateLimit
from audit_operator.cluster.report_kinds import KNOWN
from audit_operator.cluster.resources import CLUSTER_ROLE
from audit_operator.cluster.rest import ApiError, RestClient
from audit_operator.cluster.status_writer import EncodedStatus
from audit_operator.controller.report_objects import NAME, ReportObjects
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.status import statuses
from tests.cluster.fake_api_server import Fault, fake_api_server
from tests.permissions.objects import role
from tests.plan.objects import audit_policy, cluster_policy, control_plane

OPEN, FORMER, _ = KNOWN
BASELINE = cluster_policy(preset="Baseline", compliance={"frameworks": ["CIS"]})
PCI = audit_policy(preset="Baseline", compliance={"frameworks": ["PCI-DSS-4"]})
LAB = audit_policy("lab", "lab")
ALL = Snapshot(
    audit_policies=(PCI, LAB),
    cluster_audit_policies=(BASELINE,),
    control_planes=(control_plane(),),
    namespaces=(NamespaceFact("payments"), NamespaceFact("lab"), NamespaceFact("web")),
)


@dataclass
class World:
    api: object
    client: RestClient
    objects: ReportObjects

    def follow(self, snapshot):
        planned = plan(snapshot)
        said = statuses(snapshot, planned, {})
        self.objects.follow(snapshot, planned, {ref: EncodedStatus.of(each) for ref, each in said.items()})

    async def report(self, snapshot=ALL):
        """A round; the paths that were written to."""
        self.follow(snapshot)
        before = len(self.api.writes())
        await self.objects.round()
        return [(each.method, each.path) for each in self.api.writes()[before:]]

    def get(self, place, kinds=OPEN):
        return self.api.get(kinds.of(place), NAME, place)


def objects(client, owner=""):
    return ReportObjects(client, "reports", owner, RateLimit(1e6, 100))


@asynccontextmanager
async def world(*groups, owner=""):
    async with fake_api_server() as api, aiohttp.ClientSession(api.url) as session:
        api.removed -= set(groups or ("openreports.io",))
        client = RestClient(session, backoff=Backoff(base=0.0), attempts=1)
        yield World(api, client, objects(client, owner))


def results(report):
    return {(each["policy"], each["rule"]): each for each in report["results"]}


async def test_every_namespace_with_a_policy_has_one_and_the_cluster_has_one():
    async with world() as here:
        written = await here.report()
        assert {path for _, path in written} == {
            "/apis/openreports.io/v1alpha1/clusterreports/audit-operator",
            "/apis/openreports.io/v1alpha1/namespaces/lab/reports/audit-operator",
            "/apis/openreports.io/v1alpha1/namespaces/payments/reports/audit-operator",
        }
        payments, lab, cluster = here.get("payments"), here.get("lab"), here.get("")
        assert payments["scope"] == {"apiVersion": "v1", "kind": "Namespace", "name": "payments"}
        assert "scope" not in cluster
        assert {policy for policy, _ in results(payments)} == {"audit-coverage", "PCI-DSS-4"}
        assert {policy for policy, _ in results(lab)} == {"audit-coverage"}
        assert {policy for policy, _ in results(cluster)} == {"audit-coverage", "CIS"}
        covered = results(payments)["audit-coverage", "pod-exec"]
        # No API server was seen to run the policy, as the control says too.
        basis = {"verdict": "Covered", "basis": "Desired", "proof": "Claimed"}
        assert (covered["result"], covered["properties"]) == ("skip", basis)
        assert results(payments)["PCI-DSS-4", "10.2.1.2"]["result"] == "skip"
        assert payments["summary"]["pass"] == 0
        assert sum(payments["summary"].values()) == len(payments["results"])
        assert here.objects.present == here.objects.figures.written == 3


async def test_a_covered_action_passes_once_every_api_server_was_seen_to_run_with_the_policy():
    async with world() as here:
        await here.report()
        digest = plan(ALL).compiled["main"].desired.digest
        server = ApiServerObservation("local", digest, digest, ready=True)
        written = await here.report(replace(ALL, observations={"main": (server,)}))
        assert len(written) == 3
        covered = results(here.get("payments"))["audit-coverage", "pod-exec"]
        basis = {"verdict": "Covered", "basis": "Running", "proof": "Claimed"}
        assert (covered["result"], covered["properties"]) == ("pass", basis)


async def test_what_says_the_same_is_not_written_again_not_even_by_a_successor():
    async with world() as here:
        await here.report()
        assert await here.report() == []
        here.objects = objects(here.client)
        assert await here.report() == []


async def test_a_change_is_written_where_it_is_and_what_stayed_keeps_its_time():
    async with world() as here:
        await here.report()
        former = here.get("payments")
        former["results"] = [{**each, "timestamp": {"seconds": 5, "nanos": 0}} for each in former["results"]]
        less = replace(ALL, audit_policies=(PCI, audit_policy("lab", "lab", preset="Baseline")))
        assert [path for _, path in await here.report(less)] == [
            "/apis/openreports.io/v1alpha1/namespaces/lab/reports/audit-operator"
        ]
        none = replace(ALL, cluster_audit_policies=(cluster_policy(rules=[{"level": "None"}]),))
        exec_only = audit_policy(
            rules=[{"level": "Metadata", "resources": [{"group": "", "resources": ["pods/exec"]}]}],
            compliance={"frameworks": ["PCI-DSS-4"]},
        )
        await here.report(replace(none, audit_policies=(exec_only,)))
        found = results(here.get("payments"))
        assert found["audit-coverage", "pod-exec"]["timestamp"]["seconds"] == 5
        assert found["audit-coverage", "secrets-read"]["result"] == "fail"
        assert found["audit-coverage", "secrets-read"]["timestamp"]["seconds"] > 5
        assert here.get("payments")["results"][0]["result"] == "fail"


async def test_one_whose_policies_are_gone_is_deleted():
    async with world() as here:
        await here.report()
        await here.report(replace(ALL, audit_policies=(PCI,), cluster_audit_policies=()))
        assert here.get("payments")
        assert here.get("lab") is here.get("") is None
        # Also where that happened while nobody looked.
        here.objects = objects(here.client)
        await here.report(replace(ALL, audit_policies=(), cluster_audit_policies=(BASELINE,)))
        assert here.get("payments") is None


async def test_reports_of_others_are_left_alone_whatever_their_name():
    async with world() as here:
        here.api.put(OPEN.namespaced, NAME, "payments", source="kyverno", metadata={"labels": {"app": "other"}})
        here.api.put(OPEN.namespaced, "other", "lab", source="kyverno", metadata={})
        await here.report()
        await here.report(replace(ALL, audit_policies=()))
        assert here.get("payments")["source"] == "kyverno"
        assert here.api.get(OPEN.namespaced, "other", "lab")["source"] == "kyverno"


async def test_what_somebody_has_changed_is_put_right_when_it_is_looked_at_again():
    async with world() as here:
        await here.report()
        here.get("payments")["results"][0]["result"] = "pass"
        here.get("payments")["results"][0]["message"] = "all is well"
        assert await here.report() == []
        here.objects.relist = 0.0
        assert len(await here.report()) == 1
        assert "all is well" not in str(here.get("payments"))


async def test_kinds_that_come_and_go_are_followed():
    async with world("none") as here:
        assert await here.report() == []
        here.api.removed.discard("wgpolicyk8s.io")
        await here.report()
        former = here.get("payments", FORMER)
        assert former["kind"] == "PolicyReport"
        assert "source" not in former
        assert {each["source"] for each in former["results"]} == {"audit-operator"}
        here.api.removed.discard("openreports.io")
        await here.report()
        assert here.get("payments")
        assert here.get("payments", FORMER) is None
        here.api.removed.add("openreports.io")
        await here.report()
        assert here.get("payments", FORMER)


async def test_a_group_that_is_served_in_two_versions_has_each_report_once():
    async with world("wgpolicyk8s.io") as here:
        await here.report()
        here.objects.relist = -1.0
        assert await here.report() == []
        assert here.objects.figures.deleted == 0


async def test_reports_of_other_names_are_not_even_read_though_they_have_our_label():
    async with world() as here:
        here.api.put(
            OPEN.namespaced, "flood", "web", metadata={"labels": {"audit-operator.dev/written-by": "operator"}}
        )
        await here.report()
        lists = [each.query for each in here.api.seen if each.method == "GET" and "limit" in each.query]
        assert len(lists) == 2
        assert {(each["fieldSelector"], int(each["limit"]) <= 10) for each in lists} == {
            (f"metadata.name={NAME}", True)
        }
        assert here.api.get(OPEN.namespaced, "flood", "web")


async def test_all_belong_to_the_role_that_goes_when_reports_are_switched_off():
    async with world(owner="audit-operator-reports") as here:
        with pytest.raises(ApiError):
            await here.report()
        assert here.get("payments") is None
        here.api.put(CLUSTER_ROLE, "audit-operator-reports", rules=role("x")["rules"])
        await here.report()
        [owner] = here.get("payments")["metadata"]["ownerReferences"]
        uid = here.api.get(CLUSTER_ROLE, "audit-operator-reports")["metadata"]["uid"]
        assert owner == {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "name": "audit-operator-reports",
            "uid": uid,
        }


async def test_without_such_a_role_each_belongs_to_its_policies():
    async with world() as here:
        mine = PCI.model_copy(update={"metadata": PCI.metadata.model_copy(update={"uid": "1"})})
        await here.report(replace(ALL, audit_policies=(mine,)))
        [owner] = here.get("payments")["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("AuditPolicy", "pci", "1")


async def test_a_policy_made_anew_with_an_equal_status_is_the_owner():
    def made(policy, uid):
        return policy.model_copy(update={"metadata": policy.metadata.model_copy(update={"uid": uid})})

    async with world() as here:
        await here.report(replace(ALL, audit_policies=(made(PCI, "old"), made(LAB, "lab"))))
        written = await here.report(replace(ALL, audit_policies=(made(PCI, "new"), made(LAB, "lab"))))
        assert len(written) == 1
        assert [each["uid"] for each in here.get("payments")["metadata"]["ownerReferences"]] == ["new"]


async def test_a_refused_write_keeps_no_other_from_being_written_and_is_tried_again():
    async with world() as here:
        now = here.objects.clock()
        here.objects.clock = lambda: now
        here.api.faults.append(Fault("PATCH", "/payments/", times=2, status=403))
        written = await here.report()
        assert len(written) == 3
        assert here.get("payments") is None
        assert here.get("lab")
        assert here.objects.figures.failed == 1
        assert await here.report() == []
        for seconds, tried in ((61, 1), (61, 0), (121, 1)):
            now += seconds
            assert len(await here.report()) == tried
        assert here.get("payments")


async def test_tenants_whose_quota_forbids_reports_keep_no_others_waiting():
    many = tuple(audit_policy(f"n{number}", "x") for number in range(20))
    async with world() as here:
        here.api.faults.append(Fault("PATCH", "/namespaces/n", times=20, status=403))
        await here.report(replace(ALL, audit_policies=(*many, PCI)))
        assert here.get("payments")
        assert here.objects.figures.failed == 20


async def test_one_that_cannot_be_deleted_keeps_no_other():
    async with world() as here:
        await here.report()
        here.api.faults.append(Fault("DELETE", "/lab/", status=403))
        await here.report(replace(ALL, audit_policies=(), cluster_audit_policies=()))
        assert here.get("lab")
        assert here.get("payments") is here.get("") is None
        await here.report(replace(ALL, audit_policies=(), cluster_audit_policies=()))
        assert here.get("lab") is None


async def test_where_nothing_can_be_written_a_round_is_given_up():
    many = tuple(audit_policy(f"n{number}", "x") for number in range(20))
    async with world() as here:
        here.api.faults.append(Fault("PATCH", "/", times=100, status=503))
        written = await here.report(replace(ALL, audit_policies=many))
        assert len(written) == 5


async def test_writing_is_bounded():
    waits = []

    class Counted:
        async def wait(self):
            waits.append(1)

    async with world() as here:
        here.objects.rate = Counted()
        await here.report()
        await here.report(replace(ALL, audit_policies=(PCI,)))
        assert len(waits) == 4
