"""Whether a pod gets a policy's sidecar, and why not: the matchConditions of the chart's MutatingAdmissionPolicy."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from audit_operator.api.selector import selector_matches
from audit_operator.shipping.injection.names import fits, shipper_name, volumes_of

if TYPE_CHECKING:
    from audit_operator.api.application_logs import ApplicationLogs
    from audit_operator.shipping.injection.pod import Pod
    from audit_operator.shipping.injection.template import SidecarTemplate


class Obstacle(StrEnum):
    """Why a pod that a policy selects cannot get its sidecar."""

    NAMESPACE_EXCLUDED = "NamespaceExcluded"
    NAME_DOES_NOT_FIT = "NameDoesNotFit"
    CANNOT_RUN = "CannotRun"
    NAME_TAKEN = "NameTaken"
    NO_VOLUME = "NoVolume"


def is_meant(pod: Pod, logs: ApplicationLogs) -> bool:
    """Whether a policy with these application logs is about a pod."""
    return not pod.opted_out and selector_matches(logs.pod_selector, pod.labels)


def collected(pod: Pod, logs: ApplicationLogs) -> tuple[str, ...]:
    """The volumes of a pod that the sidecar reads log files from, in the pod's order."""
    wanted = {each.volume for each in logs.files}
    return tuple(each for each in pod.volumes if each in wanted)


def obstacle(pod: Pod, policy: str, logs: ApplicationLogs, template: SidecarTemplate) -> Obstacle | None:
    """Why a pod without the sidecar of the policy of this name could not be given it; None if it could."""
    if pod.namespace in template.excluded_namespaces:
        return Obstacle.NAMESPACE_EXCLUDED
    if not fits(policy):
        return Obstacle.NAME_DOES_NOT_FIT
    if not pod.can_run:
        return Obstacle.CANNOT_RUN
    if any(each.name == shipper_name(policy) for each in pod.carried) or pod.reserved & set(volumes_of(policy)):
        return Obstacle.NAME_TAKEN
    if not collected(pod, logs):
        return Obstacle.NO_VOLUME
    return None
