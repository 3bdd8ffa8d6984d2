"""The sidecars of all policies: what they are to read is written, and the pods that carry them are counted.

As for other shippers, whatever goes wrong here ends in a finding and in the log, and holds up nothing else: a defect of
ours that one policy brings out, no other policy.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.cluster.resources import AUDIT_POLICY
from audit_operator.controller.sidecar_objects import NameTakenError, SidecarObjectsError
from audit_operator.controller.sidecar_questions import Carriers
from audit_operator.controller.sidecar_trials import Verdict
from audit_operator.plan.application_logs import ApplicationFiles, Places, application_files
from audit_operator.plan.defect import defect
from audit_operator.plan.sidecar_figures import NOT_ASKED
from audit_operator.plan.sidecars import SidecarCount, carries, count, lack
from audit_operator.plan.sinks import Sinks, named
from audit_operator.shipping.collector.configuration import (
    HEALTH_VARIABLE,
    METRICS_PORT_VARIABLE,
    Endpoints,
    variable,
)
from audit_operator.shipping.injection.eligibility import is_meant
from audit_operator.shipping.injection.names import fits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.cluster.pods import PodStore
    from audit_operator.controller.credentials import Credentials, SinkSecrets
    from audit_operator.controller.sidecar_objects import SidecarObjects
    from audit_operator.controller.sidecar_questions import SidecarQuestions
    from audit_operator.controller.sidecar_trials import SidecarTrials
    from audit_operator.plan import Plan, Snapshot
    from audit_operator.shipping.injection.pod import Pod
    from audit_operator.shipping.injection.template import SidecarTemplate

PLACES = Places(
    # A pod's containers share their ports, and a pod may carry several sidecars: each takes what is free, on loopback.
    endpoints=Endpoints(
        health=variable(HEALTH_VARIABLE), metrics_host="127.0.0.1", metrics_port=variable(METRICS_PORT_VARIABLE)
    )
)
_ASKER = "sidecars"
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Sidecars:
    """Keeps what sidecars read as policies want it, and knows which pods carry them.

    Attributes:
        on_change: called when what `facts` said is not true any more.
        look_every: seconds until what was written is looked at again, and what was refused is tried again.
        count_after: seconds from a change of a pod to the next count.
        questions: asks sidecars what they have counted; None where nobody does.
        trials: tries what sidecars are to read before it is written; None where nobody does.
        on_defect: called for each exception that nothing is made for.
        facts: the pods of each policy that collects application logs, as of the last delivery.
    """

    template: SidecarTemplate
    pods: PodStore
    objects: SidecarObjects
    secrets: SinkSecrets
    on_change: Callable[[], None]
    look_every: float = 300.0
    count_after: float = 0.5
    questions: SidecarQuestions | None = None
    trials: SidecarTrials | None = None
    on_defect: Callable[[], None] = lambda: None
    facts: dict[ObjectRef, SidecarCount] = field(default_factory=dict)
    _policies: dict[ObjectRef, tuple[AuditPolicy, _State]] = field(default_factory=dict)
    _made: dict[ObjectRef, tuple[tuple[object, ...], ApplicationFiles | None]] = field(default_factory=dict)
    _looked_at: float = float("-inf")
    _changed: set[str] = field(default_factory=set)
    _counting: asyncio.TimerHandle | None = None
    _trying_again: asyncio.TimerHandle | None = None
    _held_back: Mapping[ObjectRef, Finding] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pods.on_change = self.pods_changed
        if self.questions is not None:
            self.questions.carriers, self.questions.on_change = self.carriers, self.on_change

    async def deliver(self, snapshot: Snapshot, planned: Plan) -> None:
        """Bring everything to what the policies want, and count. Raises nothing."""
        try:
            await self._deliver(snapshot, planned)
        except Exception as error:  # noqa: BLE001 - audit policies must go on being delivered
            _LOG.error("Sidecars failed: %s", error, exc_info=error, extra={"reason": type(error).__name__})
            self.on_defect()

    def _contained(self, ref: ObjectRef, error: Exception) -> Finding:
        """What a policy says that brings out a defect of ours: without the exception's text, which may quote others."""
        reason = type(error).__name__
        _LOG.error("Sidecars of a policy failed", exc_info=error, extra={"object": str(ref), "reason": reason})
        self.on_defect()
        return defect(ref, f"its sidecars cannot be looked after ({reason}), and what they have stays")

    def pods_changed(self, namespace: str) -> None:
        """Count the pods of a namespace again, soon: a roll-out changes many, and each count looks at all."""
        self._changed.add(namespace)
        if self._counting is None:
            self._counting = asyncio.get_running_loop().call_later(self.count_after, self._count_again)

    def _count_again(self) -> None:
        """Whoever acts on counts is only told of another count."""
        self._counting = None
        changed, self._changed = self._changed, set()
        for ref, (policy, state) in self._policies.items():
            if policy.metadata.namespace in changed and self._count(policy, state) != self.facts.get(ref):
                self.on_change()
                return

    def counted(self) -> Iterable[tuple[AuditPolicy, SidecarCount]]:
        """The policies with the pods that they have now."""
        for policy, state in self._policies.values():
            if (found := self._count(policy, state)) is not None:
                yield policy, found

    def restarts_held_back(self, why: Mapping[ObjectRef, Finding]) -> None:
        """Take note of what keeps workloads from being restarted, by policy."""
        if why != self._held_back:
            self._held_back = why
            self.on_change()

    def carriers(self) -> Iterable[Carriers]:
        """The pods that carry the sidecar of each policy now, and have an address."""
        for ref, (policy, state) in self._policies.items():
            pods = self.pods.pods(policy.metadata.namespace)
            if pods is not None and state.configured:
                yield _carriers(ref, policy, state, pods, self.template)

    def _try_again(self) -> None:
        """What was refused is no change of anything that is watched."""
        self._trying_again = None
        self.on_change()

    async def aclose(self) -> None:
        """Stop watching."""
        for each in (self._counting, self._trying_again):
            if each is not None:
                each.cancel()
        if self.trials is not None:
            await self.trials.aclose()
        await self.pods.aclose()

    async def _deliver(self, snapshot: Snapshot, planned: Plan) -> None:
        policies = [each for each in snapshot.audit_policies if each.spec.application_logs is not None]
        self.pods.follow({each.metadata.namespace for each in policies})
        rendered = await self._rendered(policies, snapshot, planned)
        # A policy that is refused today may be mended tomorrow: what it has stays, its pseudonym key above all.
        spared = [each.ref for each in snapshot.invalid if each.ref.kind == AUDIT_POLICY.kind]
        verdicts = {each.ref: self._verdict(each.ref, rendered[each.ref].files) for each in policies}
        refused = await self._write(policies, rendered, spared, verdicts)
        self._policies = {each.ref: (each, self._state(each.ref, rendered, refused, verdicts)) for each in policies}
        facts = {ref: self._count(*known) for ref, known in self._policies.items()}
        self.facts = {ref: counted for ref, counted in facts.items() if counted is not None}
        if refused and self._trying_again is None:
            self._trying_again = asyncio.get_running_loop().call_later(self.look_every, self._try_again)

    async def _rendered(
        self, policies: list[AuditPolicy], snapshot: Snapshot, planned: Plan
    ) -> dict[ObjectRef, _Rendered]:
        """What each policy's sidecars run with; made anew only where something that it depends on is not the same."""
        sinks = Sinks.of(snapshot)
        usable = {each.ref: sinks.of_policy(each)[0] for each in policies}
        all_of_them = sorted({ref for refs in usable.values() for ref in refs})
        credentials = await self.secrets.of(_ASKER, [sinks.existing[ref] for ref in all_of_them])
        broken = {each.ref for each in snapshot.invalid}
        made, rendered = {}, {}
        for each in policies:
            theirs = {ref: credentials[ref] for ref in usable[each.ref] if ref in credentials}
            cluster = planned.assigned.get(each.ref, "")
            basis = (each, tuple(sinks.existing[ref] for ref in usable[each.ref]), cluster, theirs)
            known = self._made.get(each.ref)
            if known is None or known[0] != basis:
                try:
                    known = basis, await asyncio.to_thread(_make, each, snapshot, cluster, theirs)
                except Exception as error:  # noqa: BLE001 - see the top of this file
                    rendered[each.ref] = _Rendered(None, frozenset(), self._contained(each.ref, error))
                    continue
            made[each.ref] = known
            unreadable = {ref for ref, found in theirs.items() if isinstance(found, Finding)}
            rendered[each.ref] = _Rendered(known[1], frozenset(unreadable | broken.intersection(named(each))))
        self._made = made
        return rendered

    async def _write(
        self,
        policies: list[AuditPolicy],
        rendered: dict[ObjectRef, _Rendered],
        spared: list[ObjectRef],
        verdicts: dict[ObjectRef, Verdict],
    ) -> dict[ObjectRef, Finding]:
        """Bring the objects there; the finding for each policy where that fails."""
        refused: dict[ObjectRef, Finding] = {}
        try:
            if time.monotonic() - self._looked_at > self.look_every:
                await self.objects.look()
                self._looked_at = time.monotonic()
        except SidecarObjectsError as error:
            # What was seen or written before is still believed: one list that fails says nothing against it.
            _LOG.warning("Sidecars not looked at: %s", error, extra={"reason": "ListFailed"})
            if self._looked_at == float("-inf"):
                refused[_ALL] = _not_written(error)
        refused |= {ref: each.defect for ref, each in rendered.items() if each.defect}
        refused |= {ref: each.refused for ref, each in verdicts.items() if each.refused}
        wanted = {each.ref: self._wanted(each, rendered[each.ref], verdicts[each.ref]) for each in policies}
        kept = [ref for ref, (stays, _) in wanted.items() if stays]
        for ref, fault in (await self.objects.keep_only([*spared, *kept])).items():
            refused[ref] = _not_withdrawn(fault)
            _LOG.warning("Sidecar not withdrawn: %s", fault, extra={"object": str(ref), "reason": "NotDeleted"})
        for each in policies:
            _, files = wanted[each.ref]
            if self._is_excluded(each):
                refused[each.ref] = _EXCLUDED
            if files is None:
                continue
            try:
                await self.objects.bring(each, files)
            except SidecarObjectsError as error:
                refused[each.ref] = _taken(error) if isinstance(error, NameTakenError) else _not_written(error)
                _LOG.warning(
                    "Sidecar not configured: %s", error, extra={"object": str(each.ref), "reason": "NotWritten"}
                )
            except Exception as error:  # noqa: BLE001 - see the top of this file
                refused[each.ref] = self._contained(each.ref, error)
        return refused

    def _verdict(self, ref: ObjectRef, files: ApplicationFiles | None) -> Verdict:
        """What is known of what a policy's sidecars are to read."""
        if self.trials is None or files is None or files.rehearsal is None:
            return Verdict()
        return self.trials.verdict(ref, files.rehearsal, used=self.objects.holds(ref, files))

    def _state(
        self,
        ref: ObjectRef,
        rendered: dict[ObjectRef, _Rendered],
        refused: dict[ObjectRef, Finding],
        verdicts: dict[ObjectRef, Verdict],
    ) -> _State:
        files, remark = rendered[ref].files, verdicts[ref].remark
        if verdicts[ref].waits and not self.objects.knows(ref):
            remark = _BEING_TRIED
        there = files is not None and bool(files.config) and remark is not _BEING_TRIED
        return _State.of(files, refused.get(ref) or refused.get(_ALL), remark, there=there)

    def _wanted(
        self, policy: AuditPolicy, rendered: _Rendered, verdict: Verdict
    ) -> tuple[bool, ApplicationFiles | None]:
        """Whether what a policy's sidecars read stays, and what is to be written."""
        files = rendered.files
        if rendered.defect:
            return True, None
        if files is None or self._is_excluded(policy) or not fits(policy.metadata.name):
            return False, None
        if files.config and (verdict.waits or verdict.refused):
            # What they have may write to sinks that admit the policy no more.
            return self.objects.writes_only_to(policy.ref, files.sinks), None
        if files.config:
            return True, files
        if self.objects.writes_only_to(policy.ref, rendered.awaited):
            return True, None
        # No sink may be written to. The key cannot be made again, so it stays, and nothing else does.
        keeps_key = files.pseudonyms and self.objects.knows(policy.ref)
        return keeps_key, files if keeps_key else None

    def _is_excluded(self, policy: AuditPolicy) -> bool:
        namespace = policy.metadata.namespace
        return namespace == self.objects.own_namespace or namespace in self.template.excluded_namespaces

    def _count(self, policy: AuditPolicy, state: _State) -> SidecarCount | None:
        try:
            return self._counted(policy, state)
        except Exception as error:  # noqa: BLE001 - see the top of this file
            self._contained(policy.ref, error)
            return None

    def _counted(self, policy: AuditPolicy, state: _State) -> SidecarCount | None:
        pods = self.pods.pods(policy.metadata.namespace)
        held_back = self._held_back.get(policy.ref)
        findings = (*state.findings, *([held_back] if held_back else []))
        if pods is None:
            refusal = self.pods.refusal(policy.metadata.namespace)
            if not refusal:
                return None
            pods, findings = (), (*findings, _not_seen(refusal))
        counted = count(policy, pods, self.template, findings, configured=state.configured)
        if counted is None or self.questions is None:
            return counted
        figures = self.questions.facts.get(policy.ref)
        if figures is None and state.configured:
            self.questions.hurry()
            figures = NOT_ASKED
        return replace(counted, figures=figures)


_ALL = ObjectRef("", "")
"""Stands for every policy."""


@dataclass(frozen=True, slots=True)
class _Rendered:
    """What a policy's sidecars run with.

    Attributes:
        files: None where it collects no application logs.
        awaited: sinks that may be written to, and cannot be now: their Secrets, or they themselves, are broken. What
            sidecars have for these stays.
        defect: why nobody knows what they are to run with; what they have stays.
    """

    files: ApplicationFiles | None
    awaited: frozenset[ObjectRef]
    defect: Finding | None = None


@dataclass(frozen=True, slots=True)
class _State:
    """Whether a policy's sidecars have what they are to run with, and what is to be said about it."""

    configured: bool
    findings: tuple[Finding, ...]
    sinks: frozenset[str]

    @classmethod
    def of(
        cls, files: ApplicationFiles | None, refused: Finding | None, remark: Finding | None, *, there: bool
    ) -> _State:
        findings: Iterable[Finding] = files.findings if files else ()
        sinks = frozenset(files.sinks.values()) if files else frozenset()
        return cls(there and not refused, (*findings, *filter(None, (refused, remark))), sinks)


def _carriers(
    ref: ObjectRef, policy: AuditPolicy, state: _State, pods: Iterable[Pod], template: SidecarTemplate
) -> Carriers:
    logs = policy.spec.application_logs
    asked, fresh = [], set()
    for pod in pods:
        if pod.alive and pod.address and logs is not None and is_meant(pod, logs) and carries(pod, policy):
            asked.append(pod)
            if lack(pod, policy, template) is None:
                fresh.add(pod.uid)
    sources = frozenset(f"{each.volume}/{each.path}" for each in logs.files) if logs else frozenset[str]()
    return Carriers(ref, tuple(asked), frozenset(fresh), sources, state.sinks)


def _make(
    policy: AuditPolicy, snapshot: Snapshot, cluster: str, credentials: dict[ObjectRef, Credentials]
) -> ApplicationFiles | None:
    return application_files(policy, snapshot, cluster, PLACES, credentials)


def _not_written(error: SidecarObjectsError) -> Finding:
    return Finding(
        "sidecar-not-configured",
        Severity.ERROR,
        f"what sidecars read cannot be written: {error}",
        "see that the operator may write ConfigMaps; and, where a sink has credentials or the policy wants pseudonyms, "
        "Secrets: shipper.secretNamespaces of the chart",
    )


def _not_withdrawn(error: SidecarObjectsError) -> Finding:
    return Finding(
        "sidecar-not-withdrawn",
        Severity.ERROR,
        f"what sidecars read should be deleted, and cannot be: {error}",
        "see that the operator may delete ConfigMaps, and Secrets where sinks need them: docs/design/injection.md",
    )


def _taken(error: SidecarObjectsError) -> Finding:
    return Finding(
        "sidecar-name-taken",
        Severity.ERROR,
        f"what sidecars read cannot be written: {error}",
        "delete or rename it, or name the policy differently",
    )


_BEING_TRIED = Finding(
    "sidecar-configuration-tried",
    Severity.INFO,
    "what sidecars are to read is being tried with known lines before it is written",
    "nothing: it takes some seconds",
    path="spec.applicationLogs",
)
_EXCLUDED = Finding(
    "sidecars-excluded",
    Severity.ERROR,
    "application logs are not collected: nothing is injected in this namespace",
    "ask whoever installed the operator: sidecar.excludedNamespaces of the chart; its own namespace is always excluded",
    path="spec.applicationLogs",
)


def _not_seen(refusal: str) -> Finding:
    return Finding(
        "pods-not-seen", Severity.ERROR, f"pods cannot be counted: {refusal}", "see that the operator may list pods"
    )
