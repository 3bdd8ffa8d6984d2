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
    POD_RESOURCES = "PodResources"
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
    reserved = pod.reserved & set(volumes_of(policy))
    found = {
        Obstacle.NAMESPACE_EXCLUDED: pod.namespace in template.excluded_namespaces,
        Obstacle.NAME_DOES_NOT_FIT: not fits(policy),
        Obstacle.CANNOT_RUN: not pod.can_run,
        Obstacle.POD_RESOURCES: pod.has_resources,
        Obstacle.NAME_TAKEN: bool(reserved) or any(each.name == shipper_name(policy) for each in pod.carried),
        Obstacle.NO_VOLUME: not collected(pod, logs),
    }
    return next((each for each, is_there in found.items() if is_there), None)
