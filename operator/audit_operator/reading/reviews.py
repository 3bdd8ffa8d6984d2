"""What the API server says of a caller: who it is (TokenReview), and what it may do (SubjectAccessReview).

Where it cannot be asked, nobody may anything.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from audit_operator.cluster.resources import AUDIT_POLICY, NAMESPACE, Resource
from audit_operator.cluster.rest import ApiError, ApiUnreachableError
from audit_operator.reading.refusal import Refused, Why

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from audit_operator.cluster.rest import Document, RestClient

RECORDS = "records"
"""The subresource of AuditPolicies that stands for the records of a namespace."""

_TOKEN_REVIEW = Resource("TokenReview", "tokenreviews", "authentication.k8s.io", "v1", namespaced=False)
_ACCESS_REVIEW = Resource("SubjectAccessReview", "subjectaccessreviews", "authorization.k8s.io", "v1", namespaced=False)
_AT_ONCE = 16
_TOKENS_AT_ONCE = 8
"""Apart: whoever sends tokens that are slowly refused must not keep others from being judged."""

_RESOLUTION = timedelta(seconds=1)
"""Of `creationTimestamp`, which has no fraction."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whom the API server has recognised; two are the same only if all of this is."""

    name: str
    uid: str
    groups: tuple[str, ...]
    extra: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Existing:
    """A namespace as it is now.

    Attributes:
        created: when it was, at the latest: what is said to be from before may be of another one that had its name.
    """

    uid: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Reviews:
    """Asks an API server.

    Attributes:
        client: with the right to create reviews, and to get namespaces.
        audiences: of which a token must have one; none: that of the API server.
    """

    client: RestClient
    audiences: tuple[str, ...] = ()
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    _of_tokens: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_TOKENS_AT_ONCE))

    async def who(self, token: str) -> Caller | None:
        """Whose token this is; None where it is none that is good here.

        An API server whose authenticator knows no audiences leaves `status.audiences` empty, and has not looked at them
        (https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/).

        Raises:
            Refused: the API server cannot be asked.
        """
        spec = {"token": token, **({"audiences": list(self.audiences)} if self.audiences else {})}
        status = await self._review(_TOKEN_REVIEW, spec, self._of_tokens)
        if status.get("authenticated") is not True:
            return None
        if self.audiences and set(self.audiences).isdisjoint(status.get("audiences") or ()):
            return None
        user = status.get("user") or {}
        if not user.get("username"):
            return None
        extra = (user.get("extra") or {}).items()
        return Caller(
            str(user["username"]),
            str(user.get("uid", "")),
            tuple(user.get("groups") or ()),
            tuple(sorted((key, tuple(values or ())) for key, values in extra)),
        )

    async def may_read(self, caller: Caller, namespace: str) -> bool:
        """Whether somebody may read the records of a namespace; of all, and those without one, where it is empty.

        Raises:
            Refused: the API server cannot be asked.
        """
        attributes = {
            "group": AUDIT_POLICY.group,
            "version": AUDIT_POLICY.version,
            "resource": AUDIT_POLICY.plural,
            "subresource": RECORDS,
            "verb": "get",
            **({"namespace": namespace} if namespace else {}),
        }
        extra = {key: list(values) for key, values in caller.extra}
        subject = {"user": caller.name, "uid": caller.uid, "groups": list(caller.groups), "extra": extra}
        status = await self._review(_ACCESS_REVIEW, {**subject, "resourceAttributes": attributes}, self._places)
        return status.get("allowed") is True and status.get("denied") is not True

    async def existing(self, namespace: str) -> Existing | None:
        """A namespace, if there is one of this name.

        Raises:
            Refused: the API server cannot be asked.
        """
        try:
            found = await self._ask(self.client.metadata(NAMESPACE, name=namespace), self._places)
        except ApiError as error:
            if error.not_found:
                return None
            raise _away() from error
        try:
            metadata = found["metadata"]
            return Existing(metadata["uid"], datetime.fromisoformat(metadata["creationTimestamp"]) + _RESOLUTION)
        except (KeyError, TypeError, ValueError) as error:
            raise _away() from error

    async def _review(self, resource: Resource, spec: Document, places: asyncio.Semaphore) -> dict[str, Any]:
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}, "spec": spec}
        try:
            status = (await self._ask(self.client.create(resource, body), places)).get("status")
        except ApiError as error:
            raise _away() from error
        return status if isinstance(status, dict) else {}

    async def _ask(self, request: Awaitable[Document], places: asyncio.Semaphore) -> Document:
        try:
            async with places:
                return await request
        except ApiUnreachableError as error:
            raise _away() from error


def _away() -> Refused:
    return Refused(Why.UNAVAILABLE, "the API server cannot be asked who you are and what you may read")
