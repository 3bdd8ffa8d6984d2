"""Which pods of a policy carry its sidecar, and why others do not.

A pod cannot be given a sidecar once it runs, and injection must never keep a pod from running: so pods without one are
normal, and what counts is that nobody takes them for covered.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from audit_operator.api.audit_policy import AuditPolicy
from audit_operator.api.conditions import ConditionStatus, ConditionType, Reason
from audit_operator.api.findings import Finding, Severity
from audit_operator.api.policy_status import MAX_FINDINGS, MissingSidecars, Sidecars, StatusFinding
from audit_operator.plan.application_logs import not_injected
from audit_operator.plan.claim import Claim, false, unknown
from audit_operator.plan.sidecar_figures import silence, trouble
from audit_operator.shipping.injection.eligibility import collected, is_meant, obstacle
from audit_operator.shipping.injection.names import MAX_POLICY_NAME, shipper_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.findings import ObjectRef
    from audit_operator.plan.sidecar_figures import SidecarFigures
    from audit_operator.shipping.injection.pod import Carried, Pod
    from audit_operator.shipping.injection.template import SidecarTemplate


IMAGE_CHANGED = "sidecar-image-changed"


class Lack(StrEnum):
    """Why a pod that should carry a sidecar carries none, or an old one; what begins the list are `Obstacle`s."""

    NAMESPACE_EXCLUDED = "NamespaceExcluded"
    NAME_DOES_NOT_FIT = "NameDoesNotFit"
    CANNOT_RUN = "CannotRun"
    POD_RESOURCES = "PodResources"
    NAME_TAKEN = "NameTaken"
    NO_VOLUME = "NoVolume"
    NO_SINK = "NoSink"
    OLDER_THAN_POLICY = "OlderThanPolicy"
    NOT_INJECTED = "NotInjected"
    STALE = "Stale"

    @property
    def is_mended_by_restart(self) -> bool:
        """Whether the pod's successor can be expected to carry the sidecar."""
        return self in (Lack.OLDER_THAN_POLICY, Lack.NOT_INJECTED, Lack.STALE)


_SAID: dict[Lack, tuple[str, str]] = {
    Lack.NAMESPACE_EXCLUDED: (
        "nothing is injected in this namespace",
        "ask whoever installed the operator: sidecar.excludedNamespaces of the chart",
    ),
    Lack.NAME_DOES_NOT_FIT: (
        "the policy's name cannot be part of a container's",
        f"use a policy with a name of at most {MAX_POLICY_NAME} characters and without dots",
    ),
    Lack.CANNOT_RUN: (
        "the pod takes no Linux container more: it is for Windows, or a kubelet made it from a file",
        "exclude such pods with spec.applicationLogs.podSelector",
    ),
    Lack.POD_RESOURCES: (
        "the pod has resources as a whole (spec.resources); where its containers ask for more, it is refused",
        "give its containers resources of their own in place of spec.resources, or exclude it with podSelector",
    ),
    Lack.NAME_TAKEN: (
        "the pod has a container or a volume of its own that is named as the sidecar's",
        "rename it, or the policy",
    ),
    Lack.NO_VOLUME: (
        "the pod has none of the volumes, or they hold no log files: Secrets, ConfigMaps, block devices",
        "name its volume in spec.applicationLogs.files, or exclude it with podSelector",
    ),
    Lack.NO_SINK: (
        "the sidecar has no configuration, or not the one that it should have",
        "see sidecars.findings",
    ),
    Lack.OLDER_THAN_POLICY: (
        "the pod is older than the policy",
        "restart it, or set spec.applicationLogs.restartWorkloads: Rolling",
    ),
    Lack.NOT_INJECTED: (
        "the pod came without: the policy was another one then, or the cluster did not inject",
        "restart it; if the new one has none either, see docs/design/injection.md",
    ),
    Lack.STALE: (
        "the sidecar was made from an older template, or reads other volumes than the policy names",
        "restart the pod, or set spec.applicationLogs.restartWorkloads: Rolling",
    ),
}


@dataclass(frozen=True, slots=True)
class SidecarCount:
    """The pods of one policy.

    Attributes:
        expected: pods that the policy is about.
        injected: of those, the ones with the sidecar as it should be.
        lacking: the others, by why.
        findings: what is not collected as the policy asks, whatever the pods.
        figures: what the sidecars themselves say; None where none was asked.
    """

    expected: int
    injected: int
    lacking: dict[Lack, tuple[Pod, ...]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    figures: SidecarFigures | None = None

    @property
    def stale(self) -> int:
        """Pods with an older sidecar."""
        return len(self.lacking.get(Lack.STALE, ()))

    def status(self) -> Sidecars:
        """As status says it, the most pods first. A pod is named as an example: always the same of the same pods."""
        missing = sorted(
            (
                MissingSidecars(
                    reason=why.value,
                    pods=len(pods),
                    example=min(each.name for each in pods),
                    message=_SAID[why][0],
                    mend=_SAID[why][1],
                )
                for why, pods in self.lacking.items()
            ),
            key=lambda each: (-each.pods, each.reason),
        )
        figures = self.figures
        findings = (*self.findings, *(figures.findings() if figures else ()))
        return Sidecars(
            expected=self.expected,
            injected=self.injected,
            stale=self.stale,
            missing=self.expected - self.injected - self.stale,
            answering=figures.answering if figures else None,
            quarantined=figures.sources if figures else (),
            reasons=tuple(missing),
            findings=tuple(StatusFinding.of(each) for each in findings[:MAX_FINDINGS]),
        )


def count(
    policy: AuditPolicy,
    pods: Iterable[Pod],
    template: SidecarTemplate,
    findings: tuple[Finding, ...] = (),
    *,
    configured: bool = True,
) -> SidecarCount | None:
    """Count the pods of a policy's namespace; None where the policy collects no application logs.

    `configured` says whether the sidecar's configuration is where it reads it: one without collects nothing.
    """
    logs = policy.spec.application_logs
    if logs is None:
        return None
    expected = injected = 0
    changed: dict[str, str] = {}
    lacking: defaultdict[Lack, list[Pod]] = defaultdict(list)
    for pod in pods:
        if not pod.alive or not is_meant(pod, logs):
            continue
        expected += 1
        why = lack(pod, policy, template)
        if why is None and not configured:
            why = Lack.NO_SINK
        if why is None:
            injected += 1
            changed.update(_changed_image(pod, policy, template))
        else:
            lacking[why].append(pod)
    known = (*findings, *_said_of_images(changed))
    return SidecarCount(expected, injected, {why: tuple(them) for why, them in lacking.items()}, known)


def lack(pod: Pod, policy: AuditPolicy, template: SidecarTemplate) -> Lack | None:
    """What is wrong with the sidecar of a pod that the policy is about; None if nothing is."""
    logs, name = policy.spec.application_logs, policy.metadata.name
    if logs is None:
        return None
    found = next((each for each in pod.carried if each.name == shipper_name(name)), None)
    if found is not None and _is_ours(found):
        if found.revision == template.revision and found.image != template.image and not found.is_whole:
            return Lack.NAME_TAKEN
        is_fresh = found.revision == template.revision and found.volumes == set(collected(pod, logs))
        return None if is_fresh and found.volumes else Lack.STALE
    why = obstacle(pod, name, logs, template)
    if why is not None:
        return Lack(why.value)
    created = policy.metadata.creation_timestamp or ""
    # Both are written by the API server, in the same form and to the second.
    return Lack.OLDER_THAN_POLICY if pod.created <= created else Lack.NOT_INJECTED


def carries(pod: Pod, policy: AuditPolicy) -> bool:
    """Whether a pod carries the policy's sidecar, of whatever age."""
    return any(each.name == shipper_name(policy.metadata.name) and _is_ours(each) for each in pod.carried)


def _changed_image(pod: Pod, policy: AuditPolicy, template: SidecarTemplate) -> Iterator[tuple[str, str]]:
    """The pod and the image of its sidecar, where that is not the template's."""
    for each in pod.carried:
        if each.name == shipper_name(policy.metadata.name) and each.image != template.image:
            yield pod.name, each.image


def _said_of_images(changed: Mapping[str, str]) -> Iterator[Finding]:
    """That a cluster rewrites images: what was injected is known, what runs is for whoever rewrites to say."""
    if changed:
        example = min(changed)
        yield Finding(
            IMAGE_CHANGED,
            Severity.INFO,
            f"the image was changed after injection: of {len(changed)} pods, for example {example}: {changed[example]}",
            mend="nothing, where the cluster pins digests or has a mirror; elsewhere see who changes pods",
        )


def _is_ours(found: Carried) -> bool:
    """Whether a container of a sidecar's name was injected: the annotation is written with it, and by nothing else."""
    return found.is_sidecar and bool(found.revision)


def not_collected(
    policy: AuditPolicy | ClusterAuditPolicy, sidecars: Mapping[ObjectRef, SidecarCount] | None
) -> tuple[Finding, ...]:
    """Why no line of a policy's application logs is collected, whatever its pods; `sidecars` is None without any."""
    if policy.spec.application_logs is None:
        return ()
    if not isinstance(policy, AuditPolicy):
        return tuple(not_injected(policy))
    return (_SWITCHED_OFF,) if sidecars is None else ()


_SWITCHED_OFF = Finding(
    "sidecars-not-enabled",
    Severity.ERROR,
    "application logs are not collected: there are no sidecars in this cluster",
    "ask whoever installed the operator: sidecar.enabled of the chart",
    path="spec.applicationLogs",
)


def with_sidecars(
    shipping: Claim, policy: AuditPolicy | ClusterAuditPolicy, sidecars: Mapping[ObjectRef, SidecarCount] | None
) -> Claim:
    """Whether records arrive, when some of them should come from pods; `sidecars` is None where there are none.

    It is true only where pods have been counted, all that are meant carry their sidecar, and nothing is known that
    keeps these from shipping to all sinks. Where they are asked what they have counted, one at least must answer.
    """
    if policy.spec.application_logs is None or shipping.status is ConditionStatus.FALSE:
        return shipping
    counted = sidecars.get(policy.ref) if sidecars is not None else None
    never = not_collected(policy, sidecars)
    errors = [*never, *(each for each in counted.findings if each.severity is Severity.ERROR)] if counted else never
    if errors:
        worst = errors[0]
        return false(ConditionType.SHIPPING, Reason.SIDECARS_MISSING, f"{worst.message} ({worst.mend})")
    less = shipping.holds or shipping.reason in _LESS_THAN_MISSING
    if counted is None:
        return unknown(ConditionType.SHIPPING, Reason.PENDING, _NOT_COUNTED) if less else shipping
    return _with_pods(shipping, counted, less=less)


def _with_pods(shipping: Claim, counted: SidecarCount, *, less: bool) -> Claim:
    """What is worst of the pods; `less` says whether what is known of the sinks is less than a pod without sidecar."""
    if (troubled := trouble(counted.figures)) is not None:
        return troubled
    lacking = {why: pods for why, pods in counted.lacking.items() if why is not Lack.STALE}
    if not less or not lacking:
        return (silence(counted.figures) if less else None) or shipping
    why = max(sorted(lacking), key=lambda each: len(lacking[each]))
    said, mend = _SAID[why]
    example = min(each.name for each in lacking[why])
    return false(
        ConditionType.SHIPPING,
        Reason.SIDECARS_MISSING,
        f"pods do not carry the sidecar, for example {example}: {said} ({mend}); see sidecars.reasons",
    )


_NOT_COUNTED = "the pods of the namespace are not known yet, so nobody can say which of them carry the sidecar"
_LESS_THAN_MISSING = frozenset(
    {Reason.NOT_REQUESTED, Reason.NOTHING_YET, Reason.NOT_IMPLEMENTED, Reason.SINK_UNREACHABLE}
)
