"""Bodies that carry credentials, and where a policy records them.

Which body carries what was seen on kube-apiserver 1.37.2: a DELETE of one Secret answers with a Status, a
DELETE of all with the Secrets; a token request is harmless and its response is the token; a token review holds the
token in its request. Watches have no body at any level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.api.findings import Severity
from audit_operator.policy.lint.check import RECORDING, Check, Report, Subject
from audit_operator.policy.lint.trial_requests import About, fitting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from audit_operator.policy.model import Request, Rule

_WRITES = ("create", "update", "patch")
_UNNAMED = frozenset({"create", "list", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Sensitive:
    """A resource whose bodies are sensitive: verbs with such a request body, and verbs with such a response body."""

    group: str
    resource: str
    what: str
    requests: tuple[str, ...] = _WRITES
    responses: tuple[str, ...] = (*_WRITES, "get", "list", "deletecollection")
    subresource: str = ""
    namespaced: bool = True

    def exposed(self, level: Level) -> Iterator[About]:
        """Requests whose sensitive bodies are recorded at this level."""
        verbs = dict.fromkeys(self.requests if level >= Level.REQUEST else ())
        verbs |= dict.fromkeys(self.responses if level >= Level.REQUEST_RESPONSE else ())
        for verb in verbs:
            named = verb not in _UNNAMED or bool(self.subresource)
            yield About(verb, self.group, self.resource, self.subresource, self.namespaced, named)

    @property
    def spelling(self) -> str:
        """As in a policy's `resources`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


SECRETS = Sensitive("", "secrets", "the data of Secrets")
CONFIG_MAPS = Sensitive("", "configmaps", "the data of ConfigMaps")
TOKEN_REQUESTS = Sensitive("", "serviceaccounts", "tokens of ServiceAccounts", (), ("create",), "token")
TOKEN_REVIEWS = Sensitive(
    "authentication.k8s.io", "tokenreviews", "the tokens under review", ("create",), ("create",), namespaced=False
)
CERTIFICATE_REQUESTS = Sensitive(
    "certificates.k8s.io", "certificatesigningrequests", "certificate requests and certificates", namespaced=False
)


def exposing(
    *resources: Sensitive, single_objects: bool = True, mend: str = ""
) -> Callable[[Subject], Iterator[Report]]:
    """The check that bodies of these are not recorded, unless a rule is about single objects and those do not count."""

    def check(subject: Subject) -> Iterator[Report]:
        for each in resources:
            for index, rule in subject.examined():
                requests = {about.verb: _decided_by(subject, index, about) for about in each.exposed(rule.level)}
                names = () if single_objects else _names(rule)
                verbs = [verb for verb, decided in requests.items() if any(one.name not in names for one in decided)]
                if verbs:
                    yield Report(
                        f"level {rule.level} records {each.what}: {', '.join(verbs)} {each.spelling}",
                        mend or f"record {each.spelling} at level Metadata in a rule before this one",
                        index,
                        ("level",),
                    )

    return check


def _decided_by(subject: Subject, index: int, about: About) -> list[Request]:
    rule = subject.policy.rules[index]
    return [request for request in fitting(rule, about) if subject.decide(request).rule == index]


def _names(rule: Rule) -> frozenset[str]:
    return frozenset(name for entry in rule.resources for name in entry.resource_names)


CHECKS = (
    Check("secret-bodies", Severity.ERROR, "Secrets recorded with their data", exposing(SECRETS), RECORDING),
    Check("token-bodies", Severity.ERROR, "Bearer tokens recorded", exposing(TOKEN_REQUESTS, TOKEN_REVIEWS), RECORDING),
    Check(
        "configmap-bodies",
        Severity.WARNING,
        "ConfigMaps recorded with their data",
        exposing(CONFIG_MAPS, single_objects=False),
        RECORDING,
    ),
    Check(
        "certificate-request-bodies",
        Severity.INFO,
        "Certificate requests recorded with their contents",
        exposing(
            CERTIFICATE_REQUESTS,
            mend="they hold names and public keys; nothing needs mending if those may be in the log",
        ),
        RECORDING,
    ),
)
