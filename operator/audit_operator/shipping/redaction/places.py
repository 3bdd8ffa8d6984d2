"""Where secrets stand by the structure of an event, whatever a policy asks for.

Of objects that hold secrets, and of answers about them, only fields that are known to be harmless stay; of a map of
values the keys stay. What else there is, of whatever type, is replaced by the marker. So a field that a later version
of Kubernetes adds, a patch in any form, and a list of objects cannot let anything through.

Statements about `kind` go by what an object says of itself, so that a Secret is one under any resource.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS = (
    "kind", "apiVersion", "level", "auditID", "stage", "requestURI", "verb", "user", "impersonatedUser",
    "authenticationMetadata", "sourceIPs", "userAgent", "objectRef", "responseStatus", "requestObject",
    "responseObject", "requestReceivedTimestamp", "stageTimestamp", "annotations",
)  # fmt: skip
"""Of an event: all that Kubernetes 1.37 knows. What else stands in one, nobody has judged."""
OBJECTS = ("requestObject", "responseObject")
SAID = ("annotations", "responseStatus")
"""Where the API server, or a webhook, says something in words."""
WORDS = ("message", "details")
"""Of a Status; it has them where something went wrong."""
OF_EVERY_REQUEST = ("authorization.k8s.io/decision", "authorization.k8s.io/reason")
"""Annotations that repeat nothing of a request."""

_TOP = (
    "apiVersion", "kind", "metadata", "type", "immutable", "items", "rows",
    "status", "message", "reason", "code", "details",  # of a Status
    "gracePeriodSeconds", "propagationPolicy", "preconditions", "orphanDependents", "dryRun",  # of DeleteOptions
)  # fmt: skip
METADATA = (
    "name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
    "continue", "remainingItemCount", "selfLink",
)  # fmt: skip
DETAILS = ("name", "group", "kind", "uid", "retryAfterSeconds")
"""Of a Status. `causes` repeat values."""

NOTE = "redacted"
"""The key under which a map says that it has lost fields."""


_HEAD = r'^(?P<head>\{"kind":"Event","apiVersion":"audit[.]k8s[.]io/v1","level":"[A-Za-z]+","auditID":"'
HEAD = (
    rf"{_HEAD}[^?]*?)"
    r'(?:[?]|"(?:user|userAgent|responseStatus|requestObject|responseObject|annotations)":|$)'
)
"""What begins like an event as the API server writes it, and what of it says which request it was: not who sent it,
whose name may have to be a pseudonym, and nothing that comes after, such as a message that repeats a value."""
NAMELESS_HEAD = (
    rf'{_HEAD}[0-9A-Za-z-]+","stage":"[A-Za-z]+"(?:,"requestURI":"/(?:api|apis/[a-z0-9.-]+)/[a-z0-9]+'
    r"(?:/namespaces/[a-z0-9-]+)?(?:/[a-z]+)?)?)"
)
"""The same, but for names of objects."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A class of objects of which only what is harmless stays.

    Attributes:
        name: for reports.
        resources: ``RESOURCE`` or ``RESOURCE/SUBRESOURCE`` of any API group.
        kinds: what such objects call themselves, and their lists.
        values: top-level maps of which the keys stay.
        fields: top-level maps of which these fields stay.
        masked: paths of single values.
    """

    name: str
    resources: tuple[str, ...]
    kinds: tuple[str, ...]
    values: tuple[str, ...] = ()
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    masked: tuple[tuple[str, str], ...] = ()

    @property
    def top(self) -> tuple[str, ...]:
        """Fields of an object that stay."""
        return (*_TOP, *self.values, *(each for each in self.fields if each not in _TOP), NOTE)


SECRETS = Sealed("secret", ("secrets",), ("Secret", "SecretList"), values=("data", "stringData"))
CONFIG_MAPS = Sealed(
    "config-map", ("configmaps",), ("ConfigMap", "ConfigMapList"), values=("data", "binaryData", "stringData")
)
TOKENS = Sealed(
    "token",
    ("tokenreviews", "serviceaccounts/token"),
    ("TokenReview", "TokenRequest"),
    fields=MappingProxyType(
        {
            "spec": ("token", "audiences", "expirationSeconds", "boundObjectRef", NOTE),
            "status": ("token", "authenticated", "user", "audiences", "error", "expirationTimestamp", NOTE),
        }
    ),
    masked=(("spec", "token"), ("status", "token"), ("status", "error")),
)

SAFE_ANNOTATIONS = (
    r"^(?:redacted$|authorization\.k8s\.io/|authentication\.k8s\.io/|audit\.k8s\.io/|apiserver\.latency\.k8s\.io/|"
    r"mutation\.webhook\.admission\.k8s\.io/|failed-open\.(?:mutating|mutation|validating|validation)\.webhook\.admission"
    r"\.k8s\.io/|pod-security\.kubernetes\.io/|k8s\.io/)"
)
"""Annotations that the API server itself makes; all others may repeat parts of an object."""

SAFE_MESSAGE = (
    r'^(?:[a-z0-9./-]+ "[A-Za-z0-9.:-]*" (?:not found|already exists)|'
    r'Operation cannot be fulfilled on [a-z0-9./-]+ "[A-Za-z0-9.:-]*": the object has been modified; please apply your '
    r"changes to the latest version and try again|"
    r'[a-z0-9./-]+(?: "[A-Za-z0-9.:-]*")? is forbidden: User "[^"]*" cannot [a-z]+ resource "[a-z0-9./-]+" in '
    r'API group "[a-z0-9.-]*"(?: in the namespace "[A-Za-z0-9.-]*"| at the cluster scope)|'
    r"Unauthorized|\[REDACTED\])$"
)
"""Messages that the API server makes of names alone; all others may repeat what was sent."""

COUNTED = r"^\[REDACTED(?:: [0-9]+ items)?\]$"

PATCHES = r"^patch\.webhook\.admission\.k8s\.io/"
"""Annotations with what admission webhooks wrote into objects."""
PATCHES_NOTE = "patch.webhook.admission.k8s.io/redacted"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

URL_SECRETS = (
    r"([?&;](?:(?i:[a-z0-9_.-]*(?:token|passw(?:or)?d|passphrase|passcode|secret|credential|signature|authorization|"
    r"session|assertion|saml|jwt|[_.-]key|(?:api|access|secret|private|signing|encryption|account|auth|app)key)"
    r"[a-z0-9_.-]*|auth|code|sig|sas|sid|otp|pwd|pass|key|ticket)|[^=&;#]*%[^=&#]*)=)[^&#]*"
)
"""Parameters of a URL that name a secret, or whose name is spelled so that it cannot be told; those of the API server
that do are none."""

UNUSUAL_COMMAND = r"([?&;](?:cmd|command)=)(?:[^&#]*[^A-Za-z0-9_./&#-][^&#]*|-[^&#]*)"
"""A first word of a command line that is more than the name of a program; the kubelet, reached through its node, takes
a whole line in one word."""
FURTHER_COMMAND = r"([&;](?:cmd|command)=)[^&#]*"
LAST_APPLIED_LITERAL = "last-applied-configuration"
"""Not looked for as other literals are: it stands in many events, mostly where it is found without looking."""
OWNED = f'{LAST_APPLIED_LITERAL}":{{'
"""What `managedFields` say of the annotation: that somebody manages it."""
