"""What the fields of Falco's plugin k8saudit take from an audit event."""

from __future__ import annotations

import re

from audit_operator.detections.condition import Field, Path, Reading

_REQUEST = "requestObject"
_PATHS: dict[str, Path] = {
    "ka.auditid": ("auditID",),
    "ka.stage": ("stage",),
    "ka.auth.decision": ("annotations", "authorization.k8s.io/decision"),
    "ka.auth.reason": ("annotations", "authorization.k8s.io/reason"),
    "ka.validations.admission.policy.failure": ("annotations", "validation.policy.admission.k8s.io/validation_failure"),
    "ka.security.pod.violations": ("annotations", "pod-security.kubernetes.io/audit-violations"),
    "ka.user.name": ("user", "username"),
    "ka.user.groups": ("user", "groups"),
    "ka.impuser.name": ("impersonatedUser", "username"),
    "ka.verb": ("verb",),
    "ka.uri": ("requestURI",),
    "ka.target.name": ("objectRef", "name"),
    "ka.target.namespace": ("objectRef", "namespace"),
    "ka.target.resource": ("objectRef", "resource"),
    "ka.target.subresource": ("objectRef", "subresource"),
    "ka.req.configmap.name": ("objectRef", "name"),
    "ka.req.binding.role": (_REQUEST, "roleRef", "name"),
    "ka.req.pod.host_ipc": (_REQUEST, "spec", "hostIPC"),
    "ka.req.pod.host_network": (_REQUEST, "spec", "hostNetwork"),
    "ka.req.container.host_network": (_REQUEST, "spec", "hostNetwork"),
    "ka.req.pod.host_pid": (_REQUEST, "spec", "hostPID"),
    "ka.req.pod.run_as_user": (_REQUEST, "spec", "securityContext", "runAsUser"),
    "ka.req.pod.run_as_group": (_REQUEST, "spec", "securityContext", "runAsGroup"),
    "ka.req.pod.fs_group": (_REQUEST, "spec", "securityContext", "fsGroup"),
    "ka.req.pod.volumes.hostpath": (_REQUEST, "spec", "volumes", "hostPath", "path"),
    "ka.req.pod.volumes.flexvolume_driver": (_REQUEST, "spec", "volumes", "flexVolume", "driver"),
    "ka.req.role.rules.apiGroups": (_REQUEST, "rules", "apiGroups"),
    "ka.req.role.rules.nonResourceURLs": (_REQUEST, "rules", "nonResourceURLs"),
    "ka.req.role.rules.verbs": (_REQUEST, "rules", "verbs"),
    "ka.req.role.rules.resources": (_REQUEST, "rules", "resources"),
    "ka.req.service.type": (_REQUEST, "spec", "type"),
    "ka.resp.name": ("responseObject", "metadata", "name"),
    "ka.response.code": ("responseStatus", "code"),
    "ka.response.reason": ("responseStatus", "reason"),
    "ka.useragent": ("userAgent",),
    "ka.sourceips": ("sourceIPs",),
}
_OF_CONTAINERS: dict[str, Path] = {
    "name": ("name",),
    "image": ("image",),
    "privileged": ("securityContext", "privileged"),
    "allow_privilege_escalation": ("securityContext", "allowPrivilegeEscalation"),
    "read_only_fs": ("securityContext", "readOnlyRootFilesystem"),
    "run_as_user": ("securityContext", "runAsUser"),
    "run_as_group": ("securityContext", "runAsGroup"),
    "proc_mount": ("securityContext", "procMount"),
    "add_capabilities": ("securityContext", "capabilities", "add"),
}
_CONTAINERS = re.compile(r"ka\.req\.pod\.(containers|initContainers|ephemeralContainers)\.(.+)")
_POINTER = re.compile(r"jevt\.value\[/([A-Za-z0-9_/]+)\]")
_PARAMETER = re.compile(r"ka\.uri\.param\[([A-Za-z0-9_-]+)\]")


def field_called(name: str) -> Field | None:
    """The field of that name; None if it is not known, or not exactly."""
    if name in _PATHS:
        return Field(_PATHS[name])
    if name == "ka.req.configmap.obj":
        return Field((_REQUEST, "data"), Reading.JSON_TEXT)
    if parameter := _PARAMETER.fullmatch(name):
        return Field(("requestURI",), Reading.PARAMETER, parameter[1])
    if pointer := _POINTER.fullmatch(name):
        path = tuple(pointer[1].split("/"))
        return Field(path) if not any(each.isdigit() for each in path) else None
    container = _CONTAINERS.fullmatch(name)
    return _of_containers((_REQUEST, "spec", container[1]), container[2]) if container else None


def _of_containers(base: Path, name: str) -> Field | None:
    if name == "image.repository":
        return Field((*base, "image"), Reading.REPOSITORY)
    return Field((*base, *_OF_CONTAINERS[name])) if name in _OF_CONTAINERS else None
