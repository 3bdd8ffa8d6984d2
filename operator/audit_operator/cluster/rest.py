"""A thin typed REST client: the few calls that the operator makes, and what may go wrong with them.

Why not the generated client: it has no server-side apply that is safe to retry, no consistent pagination, and decodes
into models of which we would use none. Authentication and TLS come from `connection`.

Retries are done here as far as one call can know that they are safe: anything that the server refused before acting
(429), and for idempotent verbs also a lost connection, a lost response or a 5xx. Everything longer belongs to the
caller.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import aiohttp

from audit_operator.cluster.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from audit_operator.cluster.resources import Resource

T = TypeVar("T")
Document = dict[str, Any]
"""A decoded JSON object."""

_APPLY = "application/apply-patch+yaml"  # JSON is YAML; the API server takes JSON under this type since 1.16
_JSON = "application/json"
_MERGE = "application/merge-patch+json"
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_MAX_SERVER_DELAY = 30.0


class ApiError(Exception):
    """The API server answered, and not with success.

    Attributes:
        status: the HTTP status.
        reason: `reason` of the Status object, for example ``NotFound``; empty where there was none.
        retry_after: seconds that the server asked us to wait, where it did.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    @property
    def not_found(self) -> bool:
        """The object, or the whole kind, does not exist."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def conflict(self) -> bool:
        """The object changed since it was read, was recreated, or exists already."""
        return self.status == HTTPStatus.CONFLICT


class ApiUnreachableError(Exception):
    """No complete answer: refused, timed out, cut off. A write may or may not have happened."""


class InconsistentListError(Exception):
    """The pages of one list do not belong to one moment, so that the list proves nothing about absence."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A complete list at one `resource_version`."""

    items: tuple[T, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `request` bounds one attempt from the first byte sent to the last byte read."""

    connect: float = 5.0
    request: float = 30.0


@dataclass(slots=True)
class RequestStats:
    """What happened so far, for metrics."""

    retries: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class RestClient:
    """Talks to one API server through a session that brings address and credentials.

    Attributes:
        session: an aiohttp session whose base URL is the API server's.
        fence: called before every attempt to write; raises if this process must not write any more.
        attempts: how often one call is tried in all.
    """

    session: aiohttp.ClientSession
    fence: Callable[[], None] | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    backoff: Backoff = field(default_factory=lambda: Backoff(base=0.2, cap=5.0))
    attempts: int = 4
    stats: RequestStats = field(default_factory=RequestStats)

    async def version(self) -> str:
        """Version of the API server that answered, for example ``v1.37.2``. Raises ApiError, ApiUnreachableError."""
        return str((await self._call("GET", "/version")).get("gitVersion", ""))

    async def resources(self, of: Resource) -> frozenset[str]:
        """Plural names of what is served in the group and version of a resource; none where there is no such version.

        Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#unaggregated-discovery
        Raises ApiError, ApiUnreachableError.
        """
        try:
            document = await self._call("GET", f"/apis/{of.api_version}")
        except ApiError as error:
            if error.not_found:
                return frozenset()
            raise
        return frozenset(str(each.get("name", "")) for each in document.get("resources") or ())

    async def get(self, resource: Resource, *, name: str, namespace: str = "") -> Document:
        """One object. Raises ApiError, ApiUnreachableError."""
        return await self._call("GET", resource.path(namespace=namespace, name=name))

    async def metadata(self, resource: Resource, *, name: str, namespace: str = "") -> Document:
        """One object without all but its metadata, as the API server gives it to whoever may get the object.

        Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources
        Raises ApiError, ApiUnreachableError.
        """
        return await self._call("GET", resource.path(namespace=namespace, name=name), accept=_METADATA)

    async def list(
        self, resource: Resource, convert: Callable[[Document], T], *, page_size: int = 500, namespace: str = ""
    ) -> Listing[T]:
        """All objects of a kind at one moment; `convert` sees each as it arrives, so that raw pages are not kept.

        Without a resourceVersion the first page is the most recent state, and the following ones are of the same moment
        (https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks).

        Raises:
            ApiError: also 410, when the moment was compacted away between two pages: the list must be started anew.
            ApiUnreachableError: nothing, or only a part, could be read.
            InconsistentListError: the pages were not of one moment.
        """
        items: list[T] = []
        params = {"limit": str(page_size)}
        if resource.label_selector:
            params["labelSelector"] = resource.label_selector
        if resource.field_selector:
            params["fieldSelector"] = resource.field_selector
        version: str | None = None
        while True:
            page = await self._call("GET", resource.path(namespace=namespace), params=params)
            metadata = page.get("metadata") or {}
            if version is None:
                version = str(metadata.get("resourceVersion", ""))
            elif metadata.get("resourceVersion") != version:
                raise InconsistentListError(
                    f"{resource.plural}: a page at {metadata.get('resourceVersion')} follows one at {version}"
                )
            items.extend(convert(item) for item in page.get("items") or ())
            token = metadata.get("continue")
            if not token:
                return Listing(tuple(items), version)
            params["continue"] = token

    async def watch(
        self, resource: Resource, *, resource_version: str, namespace: str = "", seconds: int = 300
    ) -> AsyncIterator[Document]:
        """The events (``type`` and ``object``) after a moment, until the API server ends the watch.

        Raises ApiError, ApiUnreachableError. An event of type ERROR is the last one: the list must be started anew.
        """
        path = resource.path(namespace=namespace)
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self.timeouts.connect, sock_read=2.0 * seconds)
        try:
            async with self.session.get(path, params=params, headers={"Accept": _JSON}, timeout=timeout) as response:
                if response.status >= HTTPStatus.BAD_REQUEST:
                    raise _api_error(response, await response.read())
                async for line in response.content:
                    yield json.loads(line)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ApiUnreachableError(f"watch {path}: {error!r}") from error

    async def apply(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        field_manager: str,
        subresource: str = "",
    ) -> Document:
        """Server-side apply, forced: what we manage is ours alone. `body` needs apiVersion, kind and metadata.name.

        A `metadata.resourceVersion` or `metadata.uid` in `body` makes the write conditional (409 if it does not hold).
        Raises ApiError, ApiUnreachableError.
        """
        metadata = body["metadata"]
        path = resource.path(namespace=metadata.get("namespace", ""), name=metadata["name"], subresource=subresource)
        params = {"fieldManager": field_manager, "force": "true"}
        return await self._call("PATCH", path, params=params, body=body, content_type=_APPLY)

    async def create(self, resource: Resource, body: Mapping[str, Any]) -> Document:
        """Create one object; not retried where it could have happened. Raises ApiError, ApiUnreachableError."""
        namespace = body["metadata"].get("namespace", "")
        return await self._call("POST", resource.path(namespace=namespace), body=body)

    async def token(self, namespace: str, account: str, *, seconds: int) -> str:
        """A token of a ServiceAccount for the API server itself. Raises ApiError, ApiUnreachableError.

        Source: https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/
        """
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        answer = await self._call("POST", path, body=body)
        return str((answer.get("status") or {}).get("token", ""))

    async def replace(self, resource: Resource, body: Mapping[str, Any]) -> Document:
        """Update on condition of `metadata.resourceVersion`, tried once. Raises ApiError, ApiUnreachableError."""
        metadata = body["metadata"]
        path = resource.path(namespace=metadata.get("namespace", ""), name=metadata["name"])
        return await self._attempt("PUT", path, {}, json.dumps(body), _JSON)

    async def merge(self, resource: Resource, *, name: str, body: Mapping[str, Any], namespace: str = "") -> Document:
        """Change some fields (JSON merge patch). Raises ApiError, ApiUnreachableError."""
        path = resource.path(namespace=namespace, name=name)
        return await self._call("PATCH", path, body=body, content_type=_MERGE)

    async def delete(self, resource: Resource, *, name: str, namespace: str = "", uid: str = "") -> None:
        """Delete one object; one that is gone already is as good. With a `uid`, no other one of that name (409).

        Raises ApiError, ApiUnreachableError.
        """
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}} if uid else None
        try:
            await self._call("DELETE", resource.path(namespace=namespace, name=name), body=options)
        except ApiError as error:
            if not error.not_found:
                raise

    async def _call(  # noqa: PLR0913  # the parts of a request
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = _JSON,
        accept: str = _JSON,
    ) -> Document:
        data = None if body is None else json.dumps(body)
        for attempt in range(self.attempts):
            try:
                return await self._attempt(method, path, params or {}, data, content_type, accept=accept)
            except (ApiError, ApiUnreachableError) as error:
                if attempt + 1 == self.attempts or not _may_repeat(method, error):
                    self.stats.failures += 1
                    raise
                self.stats.retries += 1
                await asyncio.sleep(self._pause(attempt, error))
        raise AssertionError("a client with attempts < 1 cannot call anything")

    def _pause(self, attempt: int, error: ApiError | ApiUnreachableError) -> float:
        asked = error.retry_after if isinstance(error, ApiError) and error.retry_after else 0.0
        return min(asked, _MAX_SERVER_DELAY) + self.backoff.delay(attempt)

    async def _attempt(  # noqa: PLR0913  # the parts of a request
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        data: str | None,
        content_type: str,
        *,
        accept: str = _JSON,
    ) -> Document:
        if self.fence is not None and method != "GET":
            self.fence()
        headers = {"Accept": accept} if data is None else {"Accept": accept, "Content-Type": content_type}
        timeout = aiohttp.ClientTimeout(total=self.timeouts.request, sock_connect=self.timeouts.connect)
        try:
            async with self.session.request(
                method, path, params=params, data=data, headers=headers, timeout=timeout
            ) as response:
                payload = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiUnreachableError(f"{method} {path}: {error!r}") from error
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise _api_error(response, payload)
        try:
            document = json.loads(payload)
        except ValueError as error:
            raise ApiUnreachableError(f"{method} {path}: the answer is not JSON") from error
        if not isinstance(document, dict):
            raise ApiUnreachableError(f"{method} {path}: the answer is no object")
        return document


def _may_repeat(method: str, error: ApiError | ApiUnreachableError) -> bool:
    if isinstance(error, ApiError):
        if error.status == HTTPStatus.TOO_MANY_REQUESTS:
            return True
        return method != "POST" and error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return method != "POST"


def _api_error(response: aiohttp.ClientResponse, payload: bytes) -> ApiError:
    """From a Status object, or from whatever a proxy in between answered."""
    try:
        status = json.loads(payload)
        reason, message = str(status.get("reason", "")), str(status.get("message", ""))
    except (ValueError, AttributeError):
        reason, message = "", payload[:200].decode("utf-8", "replace")
    try:
        retry_after = float(response.headers.get("Retry-After", ""))
    except ValueError:
        retry_after = None
    return ApiError(response.status, reason, message, retry_after)
