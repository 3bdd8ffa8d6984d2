"""Single values that can never match: verbs, namespaces, users, groups and URLs that no request has."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING

from audit_operator.api.findings import Severity
from audit_operator.policy.lint.check import RECORDING, Check, Report, Subject
from audit_operator.policy.lint.served import (
    is_about_resources,
    is_namespace,
    possible_verbs,
    url_can_match,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.policy.document import Path
    from audit_operator.policy.model import Rule

_IN_AUTHORIZATION = (
    "it exists in authorization only",
    "list the verbs of the request itself, for example create and update",
)
_A_SUBRESOURCE = ("it is a subresource", "name it in resources, for example pods/exec, with verbs get and create")

NO_VERBS = {
    **dict.fromkeys(
        ("approve", "associate", "attest", "bind", "escalate", "impersonate", "sign", "use"), _IN_AUTHORIZATION
    ),
    **dict.fromkeys(("exec", "attach", "portforward", "port-forward", "log", "logs", "scale", "evict"), _A_SUBRESOURCE),
    "proxy": ("URLs with this verb went with Kubernetes 1.10", 'list "pods/proxy" and the like in resources'),
}
"""What is taken for a verb of a request: why it is none, and what to write."""

API_VERB_OF_METHOD = {"post": "create", "put": "update", "head": "get"}
METHOD_OF_API_VERB = {
    "list": "get",
    "watch": "get",
    "create": "post",
    "update": "put",
    "deletecollection": "delete",
}

GROUPS = frozenset(
    {"system:masters", "system:nodes", "system:authenticated", "system:unauthenticated", "system:bootstrappers"}
)
USERS = frozenset(
    {
        "system:anonymous",
        "system:apiserver",
        "system:kube-controller-manager",
        "system:kube-proxy",
        "system:kube-scheduler",
    }
)

FORMER_USERS = {
    "kubelet": 'kubelets authenticate as "system:node:<name>" in group "system:nodes" (since Kubernetes 1.6)',
    "system:unsecured": "the unsecured port, whose requests had this user, went with Kubernetes 1.20",
}


def impossible_verbs(subject: Subject) -> Iterator[Report]:
    """Verbs that no request of the sort in question has."""
    for index, rule in subject.rules():
        for position, verb in enumerate(rule.verbs):
            if verb not in possible_verbs(rule):
                why, mend = _about_verb(verb, rule)
                yield Report(
                    f'verb "{verb}" matches nothing: {why}', mend, index, ("verbs", position), subject.loss(rule)
                )


def _about_verb(verb: str, rule: Rule) -> tuple[str, str]:
    """Why a verb matches nothing, and what to write."""
    possible, lower = possible_verbs(rule), verb.lower()
    if "*" in verb:
        return "verbs have no wildcard", "leave verbs out to match every verb"
    if lower in possible:
        return "verbs are compared as written, in lower case", f'write "{lower}"'
    if lower in NO_VERBS:
        return NO_VERBS[lower]
    if lower in (API_VERB_OF_METHOD if is_about_resources(rule) else METHOD_OF_API_VERB):
        sort = "about resources have API verbs" if is_about_resources(rule) else "for URLs have HTTP methods"
        return f"requests {sort}", f'write "{(API_VERB_OF_METHOD | METHOD_OF_API_VERB)[lower]}"'
    near = get_close_matches(lower, sorted(possible), 1)
    mend = f'did you mean "{near[0]}"?' if near else f"write some of: {', '.join(sorted(possible))}"
    return "no request has it", mend


def impossible_namespaces(subject: Subject) -> Iterator[Report]:
    """Namespaces that cannot exist."""
    for index, rule in subject.rules():
        for position, name in enumerate(rule.namespaces):
            if name and not is_namespace(name):
                wildcard = "*" in name or "?" in name
                why = "namespaces have no wildcards" if wildcard else "no namespace can be called so"
                mend = "list the namespaces, or leave namespaces out to match all" if wildcard else "correct the name"
                where = ("namespaces", position)
                yield Report(f'namespace "{name}" matches nothing: {why}', mend, index, where, subject.loss(rule))


def wildcard_users(subject: Subject) -> Iterator[Report]:
    """Users and groups that are meant as patterns."""
    for index, rule in subject.rules():
        for key, values in (("users", rule.users), ("userGroups", rule.user_groups)):
            for position, name in enumerate(values):
                if "*" in name:
                    message = f'"{name}" matches nobody: {key} have no wildcards'
                    yield Report(message, _without_wildcard(key, name), index, (key, position), subject.loss(rule))


def _without_wildcard(key: str, name: str) -> str:
    if name.startswith("system:serviceaccount"):
        namespace = name.split(":")[2] if name.count(":") > 1 else ""
        group = "system:serviceaccounts" + (f":{namespace}" if namespace.strip("*") else "")
        return f'write userGroups: ["{group}"]'
    if name.startswith("system:node"):
        return 'write userGroups: ["system:nodes"]'
    return f"list the names, or leave {key} out to match everybody"


def mixed_up_users(subject: Subject) -> Iterator[Report]:
    """Groups among the users, users among the groups, and service accounts written wrongly."""
    for index, rule in subject.rules():
        for position, name in enumerate(rule.users):
            if name in GROUPS or name.split(":")[:2] == ["system", "serviceaccounts"]:
                message, mend = f'"{name}" is a group, not a user', f'write userGroups: ["{name}"]'
            elif name.startswith("system:serviceaccount:") and name.count(":") != 3:  # noqa: PLR2004 - namespace and name
                message = f'no service account is called "{name}"'
                mend = 'write "system:serviceaccount:<namespace>:<name>"'
            else:
                continue
            yield Report(message, mend, index, ("users", position), subject.loss(rule))
        for position, name in enumerate(rule.user_groups):
            if name in USERS or name.startswith(("system:node:", "system:serviceaccount:")):
                message, mend = f'"{name}" is a user, not a group', f'write users: ["{name}"]'
                yield Report(message, mend, index, ("userGroups", position), subject.loss(rule))


def former_users(subject: Subject) -> Iterator[Report]:
    """Users that once were."""
    for index, rule in subject.rules():
        for position, name in enumerate(rule.users):
            if name in FORMER_USERS:
                message = f'no component authenticates as "{name}" any more: {FORMER_USERS[name]}'
                yield Report(message, "remove it", index, ("users", position))


def impossible_urls(subject: Subject) -> Iterator[Report]:
    """URLs of resources, and URLs with a query."""
    for index, rule in subject.rules():
        if is_about_resources(rule):
            continue
        for position, url in enumerate(rule.non_resource_urls):
            if url_can_match(url):
                continue
            if "?" in url:
                why, mend = "the path is compared without its query", f'write "{url.partition("?")[0]}"'
            else:
                why, mend = "it is the path of a resource", "write resources, and namespaces if need be, instead"
            message = f'"{url}" matches nothing: {why}'
            yield Report(message, mend, index, ("nonResourceURLs", position), subject.loss(rule))


def duplicate_values(subject: Subject) -> Iterator[Report]:
    """Values that stand twice in one list."""
    for index, rule in subject.rules():
        lists: dict[Path, tuple[str, ...]] = {
            ("users",): rule.users,
            ("userGroups",): rule.user_groups,
            ("verbs",): rule.verbs,
            ("namespaces",): rule.namespaces,
            ("nonResourceURLs",): rule.non_resource_urls,
            **{("resources", number, "resources"): entry.resources for number, entry in enumerate(rule.resources)},
        }
        for path, values in lists.items():
            for value in [each for each, count in Counter(values).items() if count > 1]:
                yield Report(f'"{value}" is listed twice', "remove one", index, path)


CHECKS = (
    Check("impossible-verb", Severity.ERROR, "A verb that no such request has", impossible_verbs),
    Check("impossible-namespace", Severity.ERROR, "A namespace that cannot exist", impossible_namespaces),
    Check("wildcard-user", Severity.ERROR, "A wildcard in users or userGroups", wildcard_users),
    Check("user-group-mixup", Severity.ERROR, "A group among the users, or a user among the groups", mixed_up_users),
    Check("former-user", Severity.INFO, "A user that no component has any more", former_users, RECORDING),
    Check("impossible-url", Severity.ERROR, "A URL of a resource, or one with a query", impossible_urls),
    Check("duplicate-value", Severity.INFO, "A value that is listed twice", duplicate_values),
)
