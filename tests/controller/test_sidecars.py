from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.api.sink import AuditSink, ClusterAuditSink
from audit_operator.controller import sidecars
from audit_operator.controller.sidecar_objects import NameTakenError, SidecarObjectsError
from audit_operator.controller.sidecar_questions import SidecarQuestions
from audit_operator.controller.sidecar_trials import Verdict
from audit_operator.controller.sidecars import Sidecars
from audit_operator.plan.sidecar_figures import NOT_ASKED, SidecarFigures
from audit_operator.plan.sidecars import Lack
from audit_operator.plan.snapshot import InvalidObject, NamespaceFact, Snapshot
from audit_operator.shipping.injection.template import SidecarTemplate
from tests.plan.test_sidecars import injected, seen
from tests.shipping.injection.pods import TEMPLATE, TEMPLATE_TEXT, model, pod, policy

SINK = AuditSink.model_validate(
    {
        "apiVersion": "audit-operator.dev/v1alpha1",
        "kind": "AuditSink",
        "metadata": {"name": "logs", "namespace": "payments"},
        "spec": {"type": "VictoriaLogs", "victoriaLogs": {"url": "https://logs.example:9428"}},
    },
    strict=False,
)
OLDER = SidecarTemplate.parse(TEMPLATE_TEXT.replace("160Mi", "200Mi"))
PCI = ObjectRef("AuditPolicy", "pci", "payments")
PLANNED = SimpleNamespace(assigned={PCI: "main"})


def with_sink(**more):
    document = policy(**more)
    document["spec"]["sinkRefs"] = [{"kind": "AuditSink", "name": "logs"}]
    return model(document)


def bearing_a_secret():
    refs = {"credentials": {"type": "Bearer", "secretRef": {"name": "s"}}}
    spec = {"type": "VictoriaLogs", "victoriaLogs": {"url": "https://logs.example"}, **refs}
    return AuditSink.model_validate({**SINK.model_dump(by_alias=True, mode="json"), "spec": spec}, strict=False)


class Pods:
    """Pods by namespace; None where they are not known."""

    def __init__(self, known):
        self.known, self.followed, self.said = known, None, ""

    def follow(self, namespaces):
        self.followed = set(namespaces)

    def pods(self, namespace):
        return self.known.get(namespace)

    def refusal(self, _namespace):
        return self.said

    async def aclose(self):
        self.followed = set()


class Objects:
    """Notes what is written; fails if told to."""

    own_namespace = "audit-operator"
    look_fault = None

    def __init__(self):
        self.written, self.kept, self.fault, self.stuck, self.there = {}, None, None, {}, {}

    async def look(self):
        if self.look_fault:
            raise self.look_fault

    async def bring(self, policy, files):
        if self.fault:
            raise self.fault
        self.written[policy.ref] = files

    def knows(self, policy):
        return policy in self.there

    def holds(self, policy, files):
        return policy in self.written and self.written[policy].config == files.config

    def writes_only_to(self, policy, sinks):
        return policy in self.there and self.there[policy] <= set(sinks)

    async def keep_only(self, policies):
        self.kept = list(policies)
        return self.stuck


class Secrets:
    def __init__(self, found=()):
        self.found = dict(found)

    async def of(self, _asker, _sinks):
        return self.found


@pytest.fixture
def changes():
    return []


@pytest.fixture
def keeper(changes):
    pods = Pods({"payments": (seen(pod()),)})
    return Sidecars(TEMPLATE, pods, Objects(), Secrets(), lambda: changes.append(1), count_after=0.0)


def snapshot(*policies, sinks=(SINK,)):
    return Snapshot(audit_policies=policies, audit_sinks=sinks)


async def test_only_namespaces_with_application_logs_are_looked_at_and_what_their_sidecars_read_is_written(keeper):
    without = policy("plain", "shop")
    del without["spec"]["applicationLogs"]
    await keeper.deliver(snapshot(with_sink(), model(without)), PLANNED)
    assert keeper.pods.followed == {"payments"}
    assert keeper.objects.kept == [PCI] == list(keeper.objects.written)
    assert "file_log" in keeper.objects.written[PCI].config
    assert (keeper.facts[PCI].expected, keeper.facts[PCI].injected) == (1, 0)


async def test_what_was_rendered_is_not_rendered_again_while_nothing_changes(keeper):
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    first = keeper.objects.written[PCI]
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    assert keeper.objects.written[PCI] is first
    await keeper.deliver(snapshot(with_sink(files=[{"volume": "x", "path": "a"}])), PLANNED)
    assert keeper.objects.written[PCI] is not first


OTHER = ObjectRef("AuditPolicy", "other", "shop")


def other_policy(sinks=()):
    document = policy("other", "shop")
    document["spec"]["sinkRefs"] = list(sinks)
    return model(document)


async def test_a_defect_that_one_policy_brings_out_holds_up_no_other_and_what_its_sidecars_have_stays(
    keeper, monkeypatch
):
    other, original, defects = other_policy(), sidecars.application_files, []
    keeper.pods.known["shop"], keeper.on_defect = (), lambda: defects.append(1)

    def defective(each, *args):
        if each.metadata.namespace == "shop":
            raise KeyError("what a tenant wrote")
        return original(each, *args)

    monkeypatch.setattr(sidecars, "application_files", defective)
    await keeper.deliver(snapshot(other, with_sink()), PLANNED)
    assert list(keeper.objects.written) == [PCI]
    assert keeper.objects.kept == [OTHER, PCI]
    assert [each.id for each in keeper.facts[OTHER].findings] == ["operator-defect"]
    assert "tenant" not in keeper.facts[OTHER].findings[0].message
    assert keeper.facts[PCI].findings == ()
    assert len(defects) == 1
    await keeper.deliver(snapshot(other, with_sink(files=[{"volume": "x", "path": "a"}])), PLANNED)
    assert "audit-shipper/x" in keeper.objects.written[PCI].config
    monkeypatch.setattr(sidecars, "application_files", original)
    await keeper.deliver(snapshot(other, with_sink()), PLANNED)
    assert "operator-defect" not in [each.id for each in keeper.facts[OTHER].findings]
    await keeper.aclose()


async def test_a_defect_at_the_pods_or_objects_of_one_policy_holds_up_no_other(keeper, monkeypatch):
    original, bring = sidecars.count, keeper.objects.bring

    def defective(each, *args, **more):
        return {}["defect"] if each.ref == OTHER else original(each, *args, **more)

    async def bring_no_other(each, files):
        return {}["defect"] if each.ref == OTHER else await bring(each, files)

    keeper.pods.known["shop"] = ()
    monkeypatch.setattr(sidecars, "count", defective)
    keeper.objects.bring = bring_no_other
    own = SINK.model_copy(update={"metadata": SINK.metadata.model_copy(update={"namespace": "shop"})})
    other = other_policy([{"kind": "AuditSink", "name": "logs"}])
    await keeper.deliver(snapshot(other, with_sink(), sinks=(own, SINK)), PLANNED)
    assert list(keeper.objects.written) == [PCI]
    assert list(keeper.facts) == [PCI]
    monkeypatch.setattr(sidecars, "count", original)
    assert [found.findings[0].id for each, found in keeper.counted() if each.ref == OTHER] == ["operator-defect"]
    await keeper.aclose()


class Trials:
    """Says what it is told of every configuration, and notes of which it was asked."""

    def __init__(self, verdict):
        self.said, self.asked, self.closed = verdict, [], False

    def verdict(self, policy, _wanted, *, used):
        self.asked.append((policy, used))
        return self.said

    async def aclose(self):
        self.closed = True


REFUSED = Finding("sidecar-configuration-refused", Severity.ERROR, "a line was lost", "report it")
UNTRIED = Finding("sidecar-configuration-untried", Severity.WARNING, "not tried to the end", "wait")


async def test_nothing_is_written_while_it_is_being_tried_and_what_is_there_stays(keeper):
    keeper.trials = Trials(Verdict(waits=True))
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    assert keeper.objects.written == {}
    assert [each.id for each in keeper.facts[PCI].findings] == ["sidecar-configuration-tried"]
    keeper.objects.there = {PCI: {SINK.ref}}
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    assert (keeper.objects.written, keeper.objects.kept, keeper.facts[PCI].findings) == ({}, [PCI], ())
    keeper.trials.said = Verdict()
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    assert list(keeper.objects.written) == [PCI]
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    assert keeper.trials.asked == [(PCI, False)] * 3 + [(PCI, True)]
    await keeper.aclose()
    assert keeper.trials.closed


async def test_what_loses_lines_is_not_written_and_what_is_there_stays_and_it_is_said(keeper):
    keeper.trials, keeper.objects.there = Trials(Verdict(refused=REFUSED)), {PCI: {SINK.ref}}
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    assert (keeper.objects.written, keeper.objects.kept) == ({}, [PCI])
    assert keeper.facts[PCI].findings == (REFUSED,)
    await keeper.aclose()


@pytest.mark.parametrize("verdict", [Verdict(waits=True), Verdict(refused=REFUSED)], ids=["awaited", "refused"])
async def test_what_is_there_does_not_stay_if_it_writes_where_the_policy_may_not_any_more(keeper, verdict):
    keeper.trials = Trials(verdict)
    keeper.objects.there = {PCI: {SINK.ref, ObjectRef("AuditSink", "former", "payments")}}
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    assert (keeper.objects.written, keeper.objects.kept) == ({}, [])
    await keeper.aclose()


async def test_what_could_not_be_tried_is_written_and_that_is_said(keeper):
    keeper.trials = Trials(Verdict(remark=UNTRIED))
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    assert list(keeper.objects.written) == [PCI]
    assert keeper.facts[PCI].findings == (UNTRIED,)
    await keeper.aclose()


async def test_without_a_sink_nothing_is_written_and_what_is_there_goes(keeper):
    keeper.objects.there = {PCI: {SINK.ref}}
    await keeper.deliver(snapshot(with_sink(), sinks=()), PLANNED)
    assert (keeper.objects.written, keeper.objects.kept) == ({}, [])
    assert [each.severity for each in keeper.facts[PCI].findings] == [Severity.ERROR]


async def test_a_namespace_that_a_sink_admits_no_more_has_nothing_left_to_write_to_it_with(keeper):
    policy_ = policy()
    policy_["spec"]["sinkRefs"] = [{"kind": "ClusterAuditSink", "name": "central"}]
    spec = {**SINK.model_dump(by_alias=True, mode="json")["spec"], "allowedNamespaces": {"matchLabels": {"a": "b"}}}
    document = {"apiVersion": "audit-operator.dev/v1alpha1", "kind": "ClusterAuditSink", "spec": spec}
    sink = ClusterAuditSink.model_validate({**document, "metadata": {"name": "central"}}, strict=False)
    admitted = Snapshot(
        audit_policies=(model(policy_),),
        cluster_audit_sinks=(sink,),
        namespaces=(NamespaceFact("payments", {"a": "b"}),),
    )
    await keeper.deliver(admitted, PLANNED)
    assert (list(keeper.objects.written), keeper.objects.kept) == ([PCI], [PCI])
    keeper.objects.written, keeper.objects.there = {}, {PCI: {sink.ref}}
    await keeper.deliver(replace(admitted, namespaces=(NamespaceFact("payments"),)), PLANNED)
    assert (keeper.objects.written, keeper.objects.kept) == ({}, [])


async def test_the_pseudonym_key_outlives_the_last_sink_and_its_credentials_do_not(keeper):
    document = policy()
    document["spec"] |= {
        "sinkRefs": [{"kind": "AuditSink", "name": "logs"}],
        "redaction": {"pseudonymize": ["Username"]},
    }
    keeper.objects.there = {PCI: {SINK.ref}}
    await keeper.deliver(snapshot(model(document), sinks=()), PLANNED)
    assert keeper.objects.kept == [PCI]
    written = keeper.objects.written[PCI]
    assert (written.config, dict(written.credentials), written.pseudonyms) == ("", {}, True)
    keeper.objects.written, keeper.objects.there = {}, {}
    await keeper.deliver(snapshot(model(document), sinks=()), PLANNED)
    assert keeper.objects.written == {}


async def test_what_is_there_stays_while_only_the_secrets_of_its_sinks_or_the_sinks_themselves_are_broken(keeper):
    sink = bearing_a_secret()
    keeper.secrets.found = {sink.ref: Finding("sink-not-usable", Severity.ERROR, "no such Secret", "create it")}
    keeper.objects.there = {PCI: {sink.ref}}
    await keeper.deliver(snapshot(with_sink(), sinks=(sink,)), PLANNED)
    assert (keeper.objects.written, keeper.objects.kept) == ({}, [PCI])
    broken = Snapshot(audit_policies=(with_sink(),), invalid=(InvalidObject(sink.ref, 2, ()),))
    await keeper.deliver(broken, PLANNED)
    assert (keeper.objects.written, keeper.objects.kept) == ({}, [PCI])
    # It writes to another one, too, which has gone.
    keeper.objects.there = {PCI: {sink.ref, ObjectRef("AuditSink", "former", "payments")}}
    await keeper.deliver(snapshot(with_sink(), sinks=(sink,)), PLANNED)
    assert keeper.objects.kept == []


async def test_what_was_refused_is_tried_again_later(keeper, changes):
    keeper.look_every, keeper.objects.fault = 0.0, SidecarObjectsError("away")
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    await asyncio.sleep(0.01)
    assert changes == [1]
    keeper.objects.fault = None
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    await asyncio.sleep(0.01)
    assert changes == [1]


async def test_a_failure_to_write_is_said_at_the_policy_and_stops_nothing(keeper):
    keeper.objects.fault = SidecarObjectsError("403 Forbidden: you may not")
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    [finding] = keeper.facts[PCI].findings
    assert (finding.id, "you may not" in finding.message) == ("sidecar-not-configured", True)
    assert "shipper.secretNamespaces" in finding.mend
    keeper.objects.fault = RuntimeError("a bug")
    await keeper.deliver(snapshot(with_sink()), PLANNED)  # raises nothing


@pytest.mark.parametrize("namespace", ["kube-system", "audit-operator"])
async def test_nothing_is_written_in_excluded_namespaces_nor_in_the_operators_own(keeper, namespace):
    sink = SINK.model_copy(update={"metadata": SINK.metadata.model_copy(update={"namespace": namespace})})
    await keeper.deliver(snapshot(with_sink(namespace=namespace), sinks=(sink,)), PLANNED)
    assert (keeper.objects.written, keeper.objects.kept) == ({}, [])
    keeper.pods.known[namespace] = ()
    await keeper.deliver(snapshot(with_sink(namespace=namespace), sinks=(sink,)), PLANNED)
    [counted] = keeper.facts.values()
    assert [each.id for each in counted.findings] == ["sidecars-excluded"]


async def test_a_policy_that_the_models_refuse_keeps_what_it_has(keeper):
    # As a new leader sees it, who has never seen it valid: its pseudonym key cannot be made a second time.
    broken = InvalidObject(ObjectRef("AuditPolicy", "pci", "payments"), 2, ())
    sink = InvalidObject(ObjectRef("AuditSink", "pci", "payments"), 2, ())
    await keeper.deliver(Snapshot(invalid=(broken, sink)), PLANNED)
    assert (keeper.objects.written, keeper.objects.kept) == ({}, [PCI])


async def test_a_name_that_somebody_else_has_taken_is_said(keeper):
    keeper.objects.fault = NameTakenError("Secret payments/audit-shipper-pci is there already")
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    assert [each.id for each in keeper.facts[PCI].findings] == ["sidecar-name-taken"]


async def test_what_cannot_be_deleted_is_said_at_its_policy_and_hinders_no_other(keeper):
    keeper.objects.stuck = {ObjectRef("AuditPolicy", "gone", "shop"): SidecarObjectsError("403")}
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    assert (list(keeper.objects.written), keeper.facts[PCI].findings) == ([PCI], ())
    keeper.objects.stuck = {PCI: SidecarObjectsError("403 Forbidden")}
    await keeper.deliver(snapshot(with_sink(), sinks=()), PLANNED)
    assert "sidecar-not-withdrawn" in [each.id for each in keeper.facts[PCI].findings]


async def test_a_sidecar_whose_configuration_could_not_be_written_is_not_counted_as_one_that_collects(keeper):
    # As where pseudonyms need a Secret in a namespace in which the operator may write none.
    keeper.pods.known["payments"] = (injected(pod(), by=policy()),)
    keeper.objects.fault = SidecarObjectsError("403 Forbidden: secrets")
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    assert (keeper.facts[PCI].injected, list(keeper.facts[PCI].lacking)) == (0, [Lack.NO_SINK])
    keeper.objects.fault = None
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    assert (keeper.facts[PCI].injected, keeper.facts[PCI].findings) == (1, ())


async def test_one_list_that_fails_says_nothing_against_what_was_written_but_the_first_must_succeed(keeper):
    keeper.look_every, keeper.objects.look_fault = 0.0, SidecarObjectsError("away")
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    assert [each.id for each in keeper.facts[PCI].findings] == ["sidecar-not-configured"]
    keeper.objects.look_fault = None
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    keeper.objects.look_fault = SidecarObjectsError("away")
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    assert keeper.facts[PCI].findings == ()


async def test_credentials_that_cannot_be_used_are_said(keeper):
    sink = bearing_a_secret()
    keeper.secrets.found = {sink.ref: Finding("sink-not-usable", Severity.ERROR, "no such Secret", "create it")}
    await keeper.deliver(snapshot(with_sink(), sinks=(sink,)), PLANNED)
    assert any("no such Secret" in each.message for each in keeper.facts[PCI].findings)


async def test_pods_that_may_not_be_seen_are_not_counted_as_none(keeper):
    keeper.pods.known = {}
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    assert keeper.facts == {}
    keeper.pods.said = "pods is forbidden"
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    assert [each.id for each in keeper.facts[PCI].findings] == ["pods-not-seen"]


async def test_only_another_count_is_a_change(keeper, changes):
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    keeper.pods_changed("payments")
    keeper.pods_changed("elsewhere")
    await asyncio.sleep(0.01)
    assert changes == []
    keeper.pods.known["payments"] = (injected(pod(), by=policy()),)
    keeper.pods_changed("payments")
    await asyncio.sleep(0.01)
    assert changes == [1]
    await keeper.deliver(snapshot(with_sink()), PLANNED)
    assert (keeper.facts[PCI].injected, keeper.facts[PCI].lacking) == (1, {})
    assert Lack.STALE not in keeper.facts[PCI].lacking
    await keeper.aclose()
    assert keeper.pods.followed == set()


@pytest.fixture
def asking(keeper):
    questions = SidecarQuestions()
    running = {"podIP": "10.1.2.3", "hostIP": "10.0.0.1"}
    keeper.pods.known = {
        "payments": (
            injected({**pod(), "status": running}, uid="1"),
            injected({**pod(), "status": running}, "old", template=OLDER, uid="2"),
            injected({**pod(hostNetwork=True), "status": running}, "on-the-node", uid="3"),
            injected({**pod(), "status": {"podIP": "10.0.0.1", "hostIP": "10.0.0.1"}}, "of-the-node", uid="4"),
            injected(pod(), "without-address", uid="5"),
            seen({**pod(), "status": running}, "without-sidecar", uid="6"),
            injected({**pod(), "status": {**running, "phase": "Failed"}}, "ended", uid="7"),
        )
    }
    return replace(keeper, questions=questions)


async def test_whoever_carries_a_sidecar_and_has_an_address_of_its_own_is_asked(asking):
    assert list(asking.carriers()) == []
    await asking.deliver(snapshot(with_sink()), PLANNED)
    [carriers] = asking.carriers()
    assert [each.name for each in carriers.pods] == ["web-1", "old"]
    assert carriers.fresh == {"1"}
    assert carriers.sources == {"logs/audit/*.log", "logs/other.log", "more/*.log"}
    assert carriers.sinks == {"otlp_http/auditsink.payments.logs"}
    assert asking.questions.carriers == asking.carriers


async def test_nobody_is_asked_whose_configuration_is_not_there(asking):
    asking.objects.fault = SidecarObjectsError("no")
    await asking.deliver(snapshot(with_sink()), PLANNED)
    assert list(asking.carriers()) == []


async def test_what_sidecars_say_comes_with_the_count(asking):
    await asking.deliver(snapshot(with_sink()), PLANNED)
    assert asking.facts[PCI].figures is NOT_ASKED
    asking.questions.facts[PCI] = SidecarFigures(answering=2)
    await asking.deliver(snapshot(with_sink()), PLANNED)
    assert asking.facts[PCI].figures.answering == 2
