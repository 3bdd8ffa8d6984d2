"""What verdicts on detection rules take for granted of audit events, seen in those of a real API server."""

from __future__ import annotations

from audit_operator.detections.condition import evaluate
from audit_operator.detections.firing import Firing, judge
from tests.detections.packs import EVERYTHING, METADATA, falco, kql

EVERYTHING_TEXT = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n"
HOST_NETWORK = falco(
    "ka.stage=ResponseComplete and ka.verb=create and ka.target.resource=pods and ka.response.code startswith 2 and "
    "ka.req.pod.host_network intersects (true) and not ka.req.pod.containers.image.repository in (other)"
)
ACCOUNT_OF_BINDING = kql("kubernetes.audit.requestObject.spec.serviceAccountName: * and event.action: create and "
                         "kubernetes.audit.objectRef.resource: rolebindings")  # fmt: skip
REFUSED_WITH_BODY = falco("ka.verb=create and ka.response.code=403 and ka.auth.decision=forbid and "
                          "jevt.value[/requestObject/kind] exists")  # fmt: skip
NOT_AUTHENTICATED_AT_THE_END = falco("ka.stage=ResponseComplete and ka.response.code=401")


def fires(rule, events):
    return any(evaluate(rule.condition, each) is True for each in events)


def test_what_can_fire_does_and_what_never_can_does_not(control_plane, namespace):
    path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
    spec = {"containers": [{"name": "x", "image": "x:1"}], "hostNetwork": True}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec}
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings?dryRun=All"
    binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "x"}}
    binding |= {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}}
    binding |= {"subjects": [], "spec": {"serviceAccountName": "x"}}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    with control_plane.audit_policy(EVERYTHING_TEXT):
        control_plane.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", account)
        created = control_plane.request("POST", path, pod)
        bound = control_plane.request("POST", rbac, binding)
        forbidden = control_plane.request("POST", path, pod, user="alice")
        unknown = control_plane.request("GET", path, token="wrong")
    assert (created.status, bound.status, forbidden.status, unknown.status) == (201, 201, 403, 401)
    seen = {each: control_plane.audit_events(each.audit_id) for each in (created, bound, forbidden, unknown)}

    assert judge(HOST_NETWORK, EVERYTHING).firing is Firing.CAN
    assert fires(HOST_NETWORK, seen[created])
    assert judge(ACCOUNT_OF_BINDING, EVERYTHING).firing is Firing.NEVER
    assert not fires(ACCOUNT_OF_BINDING, seen[bound])
    assert judge(REFUSED_WITH_BODY, EVERYTHING).firing is Firing.NEVER
    assert not fires(REFUSED_WITH_BODY, seen[forbidden])
    assert judge(NOT_AUTHENTICATED_AT_THE_END, EVERYTHING).firing is Firing.NEVER
    assert not fires(NOT_AUTHENTICATED_AT_THE_END, seen[unknown])
    assert {each["stage"] for each in seen[unknown]} == {"ResponseStarted"}

    again = control_plane.request("POST", path, pod)
    assert again.status == 201
    assert judge(HOST_NETWORK, METADATA).firing is Firing.CANNOT
    assert not fires(HOST_NETWORK, control_plane.audit_events(again.audit_id))
