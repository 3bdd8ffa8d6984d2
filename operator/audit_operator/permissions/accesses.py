"""The accesses that are sensitive, as data, each with the reason.

An access is there for what it leads to and not for its name: creating a pod where the shippers' Secret lies is reading
that Secret. https://kubernetes.io/docs/concepts/security/rbac-good-practices/ lists ways of which most are here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from audit_operator.api.findings import Severity
from audit_operator.permissions.places import Place


class Effect(StrEnum):
    """What an access amounts to.

    Read: what was recorded, or what leads to it. Write: decide what is recorded, where it goes, or what is said about
    it. Disable: switch auditing off, or destroy what was recorded.
    """

    READ = "Read"
    WRITE = "Write"
    DISABLE = "Disable"


@dataclass(frozen=True, slots=True)
class Permission:
    """Requests of which one is enough; `names`, if any, are the only objects that matter."""

    verbs: tuple[str, ...]
    group: str
    resources: tuple[str, ...]
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Access:
    """Something that few people should be able to do.

    Attributes:
        id: documented in docs/permissions.md.
        title: what somebody may do, after "may".
        ways: each is a list of permissions that are needed together; one way is enough.
        delegable: in one namespace, it is the business of those who own it: listed, but no finding.
    """

    id: str
    title: str
    effects: frozenset[Effect]
    places: frozenset[Place]
    ways: tuple[tuple[Permission, ...], ...]
    reason: str
    mend: str
    severity: Severity = Severity.ERROR
    delegable: bool = False


_OURS = "audit-operator.dev"
_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_AUTHENTICATION = "authentication.k8s.io"
_CERTIFICATES = "certificates.k8s.io"

_GET = ("get", "list", "watch")
_CHANGE = ("update", "patch")
_REMOVE = ("delete", "deletecollection")
_WRITE = ("create", *_CHANGE, *_REMOVE)
_PROXY = ("get", "create", "update", "patch", "delete")

_READ = frozenset({Effect.READ})
_DISABLE = frozenset({Effect.DISABLE})
_READ_AND_DISABLE = frozenset({Effect.READ, Effect.DISABLE})
_ALL = frozenset(Effect)

_CLUSTER = frozenset({Place.CLUSTER})
_NEAR = frozenset({Place.OPERATOR, Place.STORES})
_INSIDE = frozenset({Place.OPERATOR, Place.STORES, Place.SYSTEM})
_ANYWHERE = frozenset({Place.EVERYWHERE})

_WORKLOADS = ("deployments", "daemonsets", "statefulsets", "replicasets")
_NEW_POD = (
    (Permission(("create",), "", ("pods",)),),
    (Permission(("create", *_CHANGE), "apps", _WORKLOADS),),
    (Permission(("create", *_CHANGE), "batch", ("jobs", "cronjobs")),),
    (Permission(("create", *_CHANGE), "", ("replicationcontrollers",)),),
)
_KINDS_IN_NAMESPACES = ("auditpolicies", "auditsinks")
_KINDS_WITHOUT = ("auditcontrolplanes", "clusterauditpolicies", "clusterauditsinks")


def _one(verbs: tuple[str, ...], group: str, *resources: str, names: tuple[str, ...] = ()) -> tuple[Permission, ...]:
    """A way that needs one permission."""
    return (Permission(verbs, group, resources, frozenset(names)),)


_INDIRECT = (
    Access(
        "impersonate",
        "act as other users",
        _ALL,
        _CLUSTER,
        # A group is impersonated beside a user, who may be a service account of a namespace of one's own.
        (_one(("impersonate",), "", "users", "groups"),),
        "whoever acts as an administrator has an administrator's rights",
        "name the few users that may be impersonated in resourceNames, or take the verb away",
    ),
    Access(
        "impersonate-accounts",
        "act as service accounts there",
        _ALL,
        _INSIDE,
        (_one(("impersonate",), "", "serviceaccounts"),),
        "the operator's, the stores' and the controllers' accounts can do what these can",
        "take the verb impersonate away",
    ),
    # Kubernetes 1.36 on (KEP-5284). The other half is a right "impersonate-on:..." on the request itself, of which
    # there are as many as requests. Whoever has one half alone is one binding away from both.
    Access(
        "impersonate-for-some",
        "act as other users for some requests",
        _ALL,
        _CLUSTER,
        (
            _one(("impersonate:user-info",), _AUTHENTICATION, "users", "groups"),
            _one(("impersonate:arbitrary-node",), _AUTHENTICATION, "nodes"),
        ),
        "with a right impersonate-on:user-info on these requests, they are answered as others would be",
        "name the few users that may be impersonated in resourceNames, or take the verb away",
        Severity.WARNING,
    ),
    Access(
        "impersonate-accounts-for-some",
        "act as service accounts there for some requests",
        _ALL,
        _INSIDE,
        (_one(("impersonate:serviceaccount",), _AUTHENTICATION, "serviceaccounts"),),
        "with a right impersonate-on:serviceaccount on these requests, they are answered as those accounts would be",
        "take the verb impersonate:serviceaccount away",
        Severity.WARNING,
    ),
    Access(
        "tokens",
        "make tokens of service accounts there",
        _ALL,
        _INSIDE,
        (_one(("create",), "", "serviceaccounts/token"),),
        "with the token, they are that service account",
        "name the accounts that are needed in resourceNames, or take serviceaccounts/token away",
    ),
    Access(
        "escalate-cluster-roles",
        "give ClusterRoles any right",
        _ALL,
        _CLUSTER,
        ((*_one(("escalate",), _RBAC, "clusterroles"), *_one(("create", *_CHANGE), _RBAC, "clusterroles")),),
        "escalate lets them write rights that they do not have",
        "take the verb escalate away",
    ),
    Access(
        "escalate-roles",
        "give Roles there any right",
        _ALL,
        _INSIDE,
        ((*_one(("escalate",), _RBAC, "roles"), *_one(("create", *_CHANGE), _RBAC, "roles")),),
        "escalate lets them write rights that they do not have",
        "take the verb escalate away",
    ),
    Access(
        "bind-cluster-roles",
        "bind themselves to roles of the cluster",
        _ALL,
        _CLUSTER,
        (
            (
                *_one(("bind",), _RBAC, "clusterroles"),
                *_one(("create", *_CHANGE), _RBAC, "clusterrolebindings"),
            ),
        ),
        "bind lets them bind a role whose rights they do not have",
        "name the roles that may be bound in resourceNames, or take the verb bind away",
    ),
    Access(
        "bind-roles",
        "bind themselves to roles there",
        _ALL,
        _INSIDE,
        (
            (
                *_one(("bind",), _RBAC, "roles", "clusterroles"),
                *_one(("create", *_CHANGE), _RBAC, "rolebindings"),
            ),
        ),
        "bind lets them bind a role whose rights they do not have",
        "name the roles that may be bound in resourceNames, or take the verb bind away",
    ),
    Access(
        "approve-certificates",
        "have client certificates made out to any user",
        _ALL,
        _CLUSTER,
        (
            (
                *_one(_CHANGE, _CERTIFICATES, "certificatesigningrequests/approval"),
                *_one(
                    ("approve",),
                    _CERTIFICATES,
                    "signers",
                    names=(
                        "kubernetes.io/kube-apiserver-client",
                        "kubernetes.io/kube-apiserver-client-kubelet",
                        "kubernetes.io/*",
                    ),
                ),
            ),
        ),
        "the API server believes the name and the groups in such a certificate (but for system:masters)",
        "limit the right on signers by resourceNames to signers that the API server does not believe",
    ),
    Access(
        "run-pods",
        "run or change pods there",
        _ALL,
        _INSIDE,
        (*_NEW_POD, _one(_CHANGE, "", "pods")),
        "a pod may mount every Secret and volume of its namespace, and act as any service account of it",
        "give rights to people in other namespaces, and leave these to the platform",
    ),
    Access(
        "enter-pods",
        "enter pods there",
        _ALL,
        _INSIDE,
        (
            _one(("get", "create"), "", "pods/exec", "pods/attach"),
            _one(_CHANGE, "", "pods/ephemeralcontainers"),
        ),
        "inside are what these pods hold, their service account, and, of an agent, the control-plane node",
        "take pods/exec, pods/attach and pods/ephemeralcontainers away",
    ),
    Access(
        "kubelet",
        "use the kubelet of every node",
        _ALL,
        _CLUSTER,
        (_one(_PROXY, "", "nodes/proxy"),),
        "the kubelet runs commands in any pod, and hands out the files below /var/log",
        "grant nodes/metrics, nodes/stats or nodes/healthz in place of nodes/proxy",
    ),
    Access(
        "mount-nodes",
        "run pods that mount folders of nodes",
        _READ_AND_DISABLE,
        frozenset({Place.HOST_PATH}),
        _NEW_POD,
        "the API server's log, and its manifest, are files on control-plane nodes; pod security does not forbid them",
        "label namespaces pod-security.kubernetes.io/enforce=baseline, or keep such pods out by other means",
        Severity.WARNING,
    ),
    Access(
        "volumes-of-nodes",
        "make PersistentVolumes of folders of nodes",
        _READ,
        _CLUSTER,
        (_one(("create",), "", "persistentvolumes"),),
        "pod security does not see what is behind a claim: it may be the API server's log",
        "leave PersistentVolumes to provisioners",
        Severity.WARNING,
    ),
)
_READING = (
    Access(
        "secrets",
        "read Secrets there",
        _READ,
        _NEAR,
        (_one(_GET, "", "secrets"),),
        "shippers' configuration has the credentials of every sink",
        "name the Secrets that are needed in resourceNames, and grant get alone",
    ),
    Access(
        "system-secrets",
        "read Secrets of kube-system",
        _READ_AND_DISABLE,
        frozenset({Place.SYSTEM}),
        (_one(_GET, "", "secrets"),),
        "tokens of controllers, of joining nodes, or the keys of the cluster may be there",
        "name the Secrets that are needed in resourceNames, and grant get alone",
        Severity.WARNING,
    ),
    Access(
        "pod-logs",
        "read logs of pods there",
        _READ,
        _NEAR,
        (_one(("get",), "", "pods/log"),),
        "shippers and stores may quote a record that they could not take",
        "take pods/log away, or give it in other namespaces",
        Severity.WARNING,
    ),
    Access(
        "reach-stores",
        "reach stores through the API server",
        _READ,
        frozenset({Place.STORES}),
        (
            _one(("get", "create"), "", "pods/portforward"),
            _one(_PROXY, "", "pods/proxy", "services/proxy"),
        ),
        "no NetworkPolicy stops the API server, and many stores ask for no credentials",
        "take pods/portforward, pods/proxy and services/proxy away",
        Severity.WARNING,
    ),
    Access(
        "node-logs",
        "read log files of nodes",
        _READ,
        _CLUSTER,
        (_one(("get",), "", "nodes/log"),),
        "the kubelet hands out the files below /var/log: the API server's log is one of them",
        "take nodes/log away",
        Severity.WARNING,
    ),
    Access(
        "records",
        "read records of audit policies",
        _READ,
        _ANYWHERE,
        (_one(("get",), _OURS, "auditpolicies/records"),),
        "whoever may do this in a namespace is given the records of that namespace",
        "grant it with a RoleBinding, in the namespaces that are theirs",
        Severity.WARNING,
        delegable=True,
    ),
    Access(
        "webhooks",
        "put webhooks in the way of requests",
        _READ_AND_DISABLE,
        _CLUSTER,
        (_one(_WRITE, _ADMISSION, "mutatingwebhookconfigurations", "validatingwebhookconfigurations"),),
        "a webhook is shown what others write, Secrets too, and may refuse or change what the operator writes",
        "name the configurations that are needed in resourceNames",
    ),
)
_WRITING = (
    Access(
        "policies",
        "write AuditPolicies",
        frozenset({Effect.WRITE}),
        _ANYWHERE,
        (_one(_WRITE, _OURS, "auditpolicies"),),
        "writing a policy is as good as reading what it records, and deleting one makes less be recorded",
        "grant it with a RoleBinding, in the namespaces that are theirs",
        Severity.WARNING,
        delegable=True,
    ),
    Access(
        "sinks",
        "write AuditSinks",
        frozenset({Effect.WRITE}),
        _ANYWHERE,
        (_one(_WRITE, _OURS, "auditsinks"),),
        "a sink decides where records go",
        "grant it with a RoleBinding, in the namespaces that are theirs",
        Severity.WARNING,
        delegable=True,
    ),
    Access(
        "cluster-policies",
        "write ClusterAuditPolicies",
        frozenset({Effect.WRITE, Effect.DISABLE}),
        _CLUSTER,
        (_one(_WRITE, _OURS, "clusterauditpolicies"),),
        "its limits take records from everybody",
        "leave ClusterAuditPolicies to the platform team",
    ),
    Access(
        "cluster-sinks",
        "write ClusterAuditSinks",
        _ALL,
        _CLUSTER,
        (_one(_WRITE, _OURS, "clusterauditsinks"),),
        "everybody's records go where they say",
        "leave ClusterAuditSinks to the platform team",
    ),
    Access(
        "namespace-labels",
        "change labels of namespaces",
        frozenset({Effect.WRITE}),
        _ANYWHERE,
        (_one(_CHANGE, "", "namespaces"),),
        "a ClusterAuditPolicy picks namespaces by their labels, and so does pod security",
        "leave labels of namespaces to the platform team",
        Severity.WARNING,
    ),
    Access(
        "status-in-namespaces",
        "write the status of policies or sinks",
        frozenset({Effect.WRITE}),
        _ANYWHERE,
        (_one(_CHANGE, _OURS, *(f"{kind}/status" for kind in _KINDS_IN_NAMESPACES)),),
        "status is what people and dashboards believe",
        "leave status to the operator",
        Severity.WARNING,
    ),
    Access(
        "status-of-cluster",
        "write the status of control planes or cluster-wide policies and sinks",
        frozenset({Effect.WRITE}),
        _CLUSTER,
        (_one(_CHANGE, _OURS, *(f"{kind}/status" for kind in _KINDS_WITHOUT)),),
        "status is what people and dashboards believe",
        "leave status to the operator",
        Severity.WARNING,
    ),
)
_DISABLING = (
    Access(
        "control-planes",
        "write AuditControlPlanes",
        _DISABLE,
        _CLUSTER,
        (_one(_WRITE, _OURS, "auditcontrolplanes"),),
        "it says which API servers record, and takes their audit flags away",
        "leave AuditControlPlanes to the platform team",
    ),
    Access(
        "definitions",
        "delete or change our CustomResourceDefinitions",
        _DISABLE,
        _CLUSTER,
        (
            _one(
                (*_CHANGE, *_REMOVE),
                "apiextensions.k8s.io",
                "customresourcedefinitions",
                names=tuple(f"{kind}.{_OURS}" for kind in (*_KINDS_IN_NAMESPACES, *_KINDS_WITHOUT)),
            ),
        ),
        "every policy goes with its definition",
        "name the definitions that are needed in resourceNames",
    ),
    Access(
        "workloads",
        "stop or change the operator, agents, shippers or stores",
        _DISABLE,
        _NEAR,
        (
            _one((*_CHANGE, *_REMOVE), "apps", *_WORKLOADS),
            _one((*_CHANGE, *_REMOVE), "batch", "cronjobs", "jobs"),
            _one(_CHANGE, "apps", "deployments/scale", "statefulsets/scale", "replicasets/scale"),
            _one(_REMOVE, "", "pods"),
            _one(("create",), "", "pods/eviction"),
        ),
        "what does not run records, ships and stores nothing",
        "leave these namespaces to the platform",
    ),
    Access(
        "instructions",
        "write what the operator, agents and shippers go by",
        _DISABLE,
        frozenset({Place.OPERATOR}),
        (_one(_WRITE, "", "configmaps", "secrets"), _one(_WRITE, "coordination.k8s.io", "leases")),
        "agents take policies from ConfigMaps, shippers their configuration from a Secret, and a Lease says who leads",
        "leave this namespace to the operator",
    ),
    Access(
        "network",
        "cut or redirect connections there",
        _DISABLE,
        _NEAR,
        (
            _one(_WRITE, "networking.k8s.io", "networkpolicies"),
            _one(_WRITE, "", "services", "endpoints"),
            _one(_WRITE, "discovery.k8s.io", "endpointslices"),
        ),
        "records that find no way are late, and in the end lost; or they go elsewhere",
        "leave these namespaces to the platform",
        Severity.WARNING,
    ),
    Access(
        "rights-there",
        "take rights from service accounts there",
        _DISABLE,
        _NEAR,
        (
            _one((*_CHANGE, *_REMOVE), _RBAC, "roles", "rolebindings"),
            _one(_REMOVE, "", "serviceaccounts"),
        ),
        "the operator can do nothing without its rights",
        "leave these namespaces to the platform",
    ),
    Access(
        "rights-of-cluster",
        "take rights from the operator",
        _DISABLE,
        _CLUSTER,
        (_one((*_CHANGE, *_REMOVE), _RBAC, "clusterroles", "clusterrolebindings"),),
        "the operator can do nothing without its rights",
        "name the roles that are needed in resourceNames",
    ),
    Access(
        "delete-namespaces",
        "delete namespaces of the operator, its agents or stores",
        _DISABLE,
        _NEAR,
        (_one(("delete",), "", "namespaces"),),
        "everything in it goes with it",
        "name the namespaces that are needed in resourceNames",
    ),
    Access(
        "delete-claims",
        "delete the volumes of stores",
        _DISABLE,
        frozenset({Place.STORES}),
        (_one(_REMOVE, "", "persistentvolumeclaims"),),
        "records are on them",
        "leave these namespaces to the platform",
    ),
    Access(
        "delete-volumes",
        "delete PersistentVolumes",
        _DISABLE,
        _CLUSTER,
        (_one(_REMOVE, "", "persistentvolumes"),),
        "records are on them",
        "leave PersistentVolumes to provisioners",
    ),
    Access(
        "admission",
        "write admission policies",
        _DISABLE,
        _CLUSTER,
        (
            _one(
                _WRITE,
                _ADMISSION,
                "mutatingadmissionpolicies",
                "mutatingadmissionpolicybindings",
                "validatingadmissionpolicies",
                "validatingadmissionpolicybindings",
            ),
        ),
        "they may refuse or change what the operator writes; sidecars, and the agents' Leases, rest on such policies",
        "leave admission policies to the platform team",
    ),
    Access(
        "api-services",
        "answer for the API server",
        _READ_AND_DISABLE,
        _CLUSTER,
        (_one(_WRITE, "apiregistration.k8s.io", "apiservices"),),
        "an APIService sends requests for our kinds to whomever it names",
        "name the APIServices that are needed in resourceNames",
    ),
    Access(
        "nodes",
        "relabel or delete nodes",
        _DISABLE,
        _CLUSTER,
        (_one((*_CHANGE, *_REMOVE), "", "nodes"),),
        "agents and shippers are where the labels of control-plane nodes are",
        "leave nodes to the platform",
    ),
)

ACCESSES: tuple[Access, ...] = (*_INDIRECT, *_DISABLING, *_READING, *_WRITING)
"""All of them, the most far-reaching first."""
