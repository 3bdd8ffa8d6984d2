"""A small API server in this process, to break on purpose.

It stores objects by path, pages lists, streams watches, applies on the server side as far as whole `spec` and `status`
are concerned, and logs every request. `Fault` makes it fail in the ways that real ones do.
"""

import asyncio
import copy
import json
import re
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from audit_operator.cluster import report_kinds, resources

SERVED = (
    *resources.WATCHED, resources.LEASE, resources.EVENT, resources.SECRET,
    resources.ROLE, resources.CLUSTER_ROLE, resources.ROLE_BINDING, resources.CLUSTER_ROLE_BINDING,
    *(kind for each in report_kinds.KNOWN for kind in (each.namespaced, each.cluster)),
    resources.PROMETHEUS_RULE,
)  # fmt: skip
_BY_COLLECTION = {(each.group, each.version, each.plural): each for each in SERVED}
_PATH = re.compile(
    r"^/(?:api|apis/(?P<group>[^/]+))/(?P<version>v[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>status))?$"
)


@dataclass
class Fault:
    """What happens to the next `times` requests that match."""

    method: str
    path: str
    times: int = 1
    status: int = 0
    headers: dict = field(default_factory=dict)
    drop: str = ""  # "before" acting, or "after": it happened, and nobody hears of it
    delay: float = 0.0

    def matches(self, request):
        return self.times > 0 and request.method == self.method and re.search(self.path, request.path_qs)


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    query: dict
    body: dict | None
    user_agent: str = ""


class FakeApiServer:
    def __init__(self):
        self.objects = {}  # (plural, namespace, name) -> document
        self.version = 100
        self.seen = []
        self.faults = []
        self.history = deque(maxlen=10_000)  # (version, plural, type, document)
        self.watch_error = None  # (code) sent as an ERROR event to all present and future watches, until reset
        self.stalled = False
        self.removed = {each.namespaced.group for each in report_kinds.KNOWN}  # groups whose CRDs are not installed
        self.url = ""

    # What tests do.

    def put(self, resource, name, namespace="", **content):
        """Create or change an object, as some other client would."""
        key = (resource.plural, namespace, name)
        old = self.objects.get(key)
        metadata = {"name": name, "uid": f"uid-{self.version}", "generation": 1, **content.pop("metadata", {})}
        if namespace:
            metadata["namespace"] = namespace
        if old is not None:
            metadata["uid"] = old["metadata"]["uid"]
            bump = old.get("spec") != content.get("spec")
            metadata["generation"] = old["metadata"]["generation"] + bump
            content = {**({"status": old["status"]} if "status" in old else {}), **content}
        document = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **content}
        self._store(key, document)
        return document

    def remove(self, resource, name, namespace="", *, silently=False):
        """Delete an object; silently: no watch ever hears of it."""
        document = self.objects.pop((resource.plural, namespace, name))
        self.version += 1
        if not silently:
            self._record(resource.plural, "DELETED", document)

    def get(self, resource, name, namespace=""):
        return self.objects.get((resource.plural, namespace, name))

    def writes(self, plural=""):
        """Requests that write, other than renewing leases."""
        return [
            each for each in self.seen if each.method != "GET" and plural in each.path and "/leases" not in each.path
        ]

    async def wait_for(self, condition):
        """Wait until the state of this server satisfies `condition`."""
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110  # conditions of tests have no event to wait for
                await asyncio.sleep(0.01)

    # What clients do.

    async def handle(self, request):
        body = json.loads(await request.text()) if request.can_read_body else None
        self.seen.append(Seen(request.method, request.path, dict(request.query), body))
        fault = next((each for each in self.faults if each.matches(request)), None)
        if fault is not None:
            fault.times -= 1
            await asyncio.sleep(fault.delay)
            if fault.status:
                return _status(fault.status, "Injected", headers=fault.headers)
            if fault.drop == "before":
                request.transport.abort()
                return web.Response()
        response = await self._answer(request, body)
        if fault is not None and fault.drop == "after":
            request.transport.abort()
        return response

    async def _answer(self, request, body):
        removed = any(request.path.startswith(f"/apis/{each}/") for each in self.removed)
        discovery = None if removed else _discovery(request.path)
        if discovery is not None:
            return web.json_response(discovery)
        match = None if removed else _PATH.match(request.path)
        resource = match and _BY_COLLECTION.get((match["group"] or "", match["version"], match["plural"]))
        if resource is None:
            return _status(404, "NotFound")
        namespace, name = match["namespace"] or "", match["name"] or ""
        if not name and request.method == "GET" and "watch" in request.query:
            return await self._watch(request, resource)
        if not name:
            return self._list(request, resource, namespace) if request.method == "GET" else self._create(resource, body)
        key = (resource.plural, namespace, name)
        if request.method == "GET":
            found = self.objects.get(key)
            return web.json_response(found) if found else _status(404, "NotFound")
        return self._write(request.method, key, body, match["sub"] or "")

    def _list(self, request, resource, namespace):
        items = [
            document
            for (plural, where, _), document in sorted(self.objects.items())
            if plural == resource.plural and namespace in ("", where) and _selected(request.query, document["metadata"])
        ]
        limit, start = int(request.query.get("limit") or 0) or len(items), 0
        version = str(self.version)
        if "continue" in request.query:
            version, start = request.query["continue"].split(":")
        page = items[int(start) : int(start) + limit]
        metadata = {"resourceVersion": version}
        if int(start) + limit < len(items):
            metadata["continue"] = f"{version}:{int(start) + limit}"
        return web.json_response({"kind": f"{resource.kind}List", "metadata": metadata, "items": page})

    async def _watch(self, request, resource):
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        since = int(request.query.get("resourceVersion") or 0)

        async def send(kind, document):
            await response.write(json.dumps({"type": kind, "object": document}).encode() + b"\n")

        while not request.transport.is_closing():
            if self.watch_error is not None:
                await send("ERROR", {"kind": "Status", "code": self.watch_error, "reason": "Injected"})
                return response
            if not self.stalled:
                for version, plural, kind, document in list(self.history):
                    if plural == resource.plural and version > since:
                        await send(kind, document)
                        since = version
            await asyncio.sleep(0.01)
        return response

    def _create(self, resource, body):
        metadata = body["metadata"]
        key = (resource.plural, metadata.get("namespace", ""), metadata["name"])
        if key in self.objects:
            return _status(409, "AlreadyExists")
        body = copy.deepcopy(body)
        body["metadata"] |= {"uid": f"uid-{self.version}", "generation": 1}
        return web.json_response(self._store(key, body), status=201)

    def _write(self, method, key, body, subresource):
        if method == "DELETE":
            return self._delete(key, ((body or {}).get("preconditions") or {}).get("uid", ""))
        old = self.objects.get(key)
        if old is None and (subresource or method == "PUT"):
            return _status(404, "NotFound")
        for field_ in ("uid", "resourceVersion"):
            wanted = body["metadata"].get(field_)
            if old is not None and wanted and wanted != old["metadata"][field_]:
                return _status(409, "Conflict")
        new = copy.deepcopy(old) if old else {"metadata": {"uid": f"uid-{self.version}", "generation": 1}}
        if subresource:
            new["status"] = body["status"]
        else:
            new |= {name: part for name, part in body.items() if name not in ("metadata", "status")}
            new["metadata"] |= {
                name: part for name, part in body["metadata"].items() if name not in ("uid", "resourceVersion")
            }
        if new == old:
            return web.json_response(old)
        return web.json_response(self._store(key, new))

    def _delete(self, key, uid):
        if key not in self.objects:
            return _status(404, "NotFound")
        if uid and uid != self.objects[key]["metadata"]["uid"]:
            return _status(409, "Conflict")
        document = self.objects.pop(key)
        self.version += 1
        self._record(key[0], "DELETED", document)
        return web.json_response({"kind": "Status", "status": "Success"})

    def _store(self, key, document):
        self.version += 1
        document["metadata"]["resourceVersion"] = str(self.version)
        kind = "MODIFIED" if key in self.objects else "ADDED"
        self.objects[key] = document
        self._record(key[0], kind, document)
        return document

    def _record(self, plural, kind, document):
        document = copy.deepcopy(document)
        document["metadata"]["resourceVersion"] = str(self.version)
        self.history.append((self.version, plural, kind, document))


def _selected(query, metadata):
    """Whether selectors of the form ``key=value`` select an object; others select everything."""
    key, equals, value = query.get("labelSelector", "").partition("=")
    name = query.get("fieldSelector", "").removeprefix("metadata.name=") or metadata["name"]
    return (not equals or (metadata.get("labels") or {}).get(key) == value) and name == metadata["name"]


def _status(code, reason, headers=None):
    body = {"kind": "Status", "code": code, "reason": reason, "message": "injected", "status": "Failure"}
    return web.json_response(body, status=code, headers=headers)


def _discovery(path):
    """Just enough for a client that looks up which resources exist."""
    groups = {(each.group, each.version) for each in SERVED if each.group}
    if path == "/api":
        return {"versions": ["v1"]}
    if path == "/apis":
        return {
            "groups": [
                {
                    "name": group,
                    "versions": [{"version": version, "groupVersion": f"{group}/{version}"}],
                    "preferredVersion": {"version": version},
                }
                for group, version in sorted(groups)
            ]
        }
    if path == "/version":
        return {"major": "1", "minor": "37", "gitVersion": "v1.37.2"}
    match = re.match(r"^/(?:api|apis/([^/]+))/(v[^/]+)$", path)
    if match is None:
        return None
    return {
        "resources": [
            {
                "name": each.plural,
                "kind": each.kind,
                "singularName": each.kind.lower(),
                "namespaced": each.namespaced,
                "verbs": ["list", "watch", "get", "patch", "create"],
            }
            for each in SERVED
            if (each.group, each.version) == (match[1] or "", match[2])
        ]
    }


@asynccontextmanager
async def fake_api_server():
    """Serve on a free loopback port."""
    server = FakeApiServer()
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
