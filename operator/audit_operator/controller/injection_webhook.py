"""The mutating webhook that injects sidecars where the API server cannot do it itself: before Kubernetes 1.36.

Every replica serves, whoever leads, so that one that ends takes no pod's sidecar with it. Whatever goes wrong, a pod is
admitted as it is; it is then counted as one without a sidecar.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from audit_operator.api.audit_policy import AuditPolicy
from audit_operator.api.parsing import parse_object
from audit_operator.cluster.following import Following
from audit_operator.cluster.resources import AUDIT_POLICY
from audit_operator.cluster.rest import ApiError, ApiUnreachableError
from audit_operator.shipping.injection.patch import patch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.cluster.rest import Document, RestClient
    from audit_operator.controller.serving_certificates import Certificates
    from audit_operator.controller.webhook_trust import WebhookTrust
    from audit_operator.shipping.injection.template import SidecarTemplate

PATH = "/inject"
_AT_ONCE = 8
"""Reviews. Whoever reaches the port can send some, and the operator reconciles in the same process."""
_LARGEST = 3 * 2**20
"""Bytes of a review: as large a request as an API server takes, twice as large a pod as etcd does."""
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class InjectionWebhook:
    """Serves AdmissionReviews of pods over TLS.

    Attributes:
        read_seconds: how long the body of a review may take to arrive.
        policies: the AuditPolicies with application logs, of all namespaces.
    """

    client: RestClient
    template: SidecarTemplate
    trust: WebhookTrust
    look_every: float = 10.0
    read_seconds: float = 3.0
    policies: Following[AuditPolicy] = field(init=False)
    _served: Certificates | None = None
    _tls: ssl.SSLContext | None = None
    _runner: web.AppRunner | None = None
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "webhook"))

    def __post_init__(self) -> None:
        self.policies = Following(self.client, AUDIT_POLICY, self._policy, lambda: None)

    async def run(self, host: str, port: int) -> None:
        """Serve for ever, from when there is a certificate on."""
        following = asyncio.create_task(self.policies.run(), name="policies of the webhook")
        try:
            while True:
                try:
                    await self._follow_certificates(host, port)
                except (ApiError, ApiUnreachableError) as error:
                    _LOG.warning("No certificate: %s", error, extra={"reason": "NoCertificate"})
                await asyncio.sleep(self.look_every if self._tls is not None else 1.0)
        finally:
            following.cancel()
            if self._runner is not None:
                await self._runner.cleanup()
            self._threads.shutdown(wait=False)

    async def _follow_certificates(self, host: str, port: int) -> None:
        found = await self.trust.read()
        if found is None or found == self._served:
            return
        if self._tls is None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
            _load(self._tls, found)
            await self._start(host, port)
        else:
            _load(self._tls, found)  # connections that begin now get it
        self._served = found

    async def _start(self, host: str, port: int) -> None:
        self._runner = web.AppRunner(self.application(), access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=self._tls).start()
        _LOG.info("Injecting on port %d", self._runner.addresses[0][1], extra={"reason": "Started"})

    def application(self) -> web.Application:
        """What is served, without TLS."""
        application = web.Application(client_max_size=_LARGEST)
        application.router.add_post(PATH, self.review)
        return application

    async def review(self, request: web.Request) -> web.Response:
        """Answer one AdmissionReview. What cannot be answered is a failure to the API server, which admits the pod."""
        if self.policies.known is None:
            return web.Response(status=503, text="the policies are not known yet")
        if self._turns.locked():
            return web.Response(status=503, text="too many reviews at once")
        async with self._turns:
            try:
                async with asyncio.timeout(self.read_seconds):
                    body = await request.read()
            except TimeoutError:
                return web.Response(status=408, text="the review did not arrive in time")
            loop, policies = asyncio.get_running_loop(), tuple(self.policies.known.values())
            answer = await loop.run_in_executor(self._threads, _answer, body, policies, self.template)
        if answer is None:
            return web.Response(status=400, text="no AdmissionReview of a pod")
        return web.json_response({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer})

    def _policy(self, document: Document) -> AuditPolicy | None:
        """The policy, if it collects application logs.

        One that the models refuse goes on as it was last accepted: the API server, where it injects by itself, asks no
        model either.
        """
        if (document.get("spec") or {}).get("applicationLogs") is None:
            return None
        uid = document["metadata"]["uid"]
        parsed = parse_object(
            {
                "apiVersion": AUDIT_POLICY.api_version,
                "kind": AUDIT_POLICY.kind,
                "metadata": {key: document["metadata"][key] for key in ("name", "namespace", "uid", "generation")},
                "spec": document["spec"],
            }
        )
        return parsed if isinstance(parsed, AuditPolicy) else (self.policies.known or {}).get(uid)


def _answer(body: bytes, policies: Iterable[AuditPolicy], template: SidecarTemplate) -> dict[str, Any] | None:
    """The response to a review; None where it is none, which anybody may send."""
    try:
        asked = json.loads(body)["request"]
        uid, namespace, pod = asked["uid"], asked["namespace"], asked["object"]
        theirs = [each for each in policies if each.metadata.namespace == namespace]
        operations = patch(pod, namespace, theirs, template) if theirs else []
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        _LOG.warning("No AdmissionReview of a pod: %s", type(error).__name__, extra={"reason": "NoReview"})
        return None
    answer: dict[str, Any] = {"uid": uid, "allowed": True}
    if operations:
        answer |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(operations).encode()).decode()}
    return answer


def _load(tls: ssl.SSLContext, certificates: Certificates) -> None:
    """The ssl module reads keys from files alone. This one is in memory, and gone when it is read."""
    descriptor = os.memfd_create("webhook")
    with os.fdopen(descriptor, "wb") as file:
        file.write((certificates.current.certificate + certificates.current.key).encode())
        file.flush()
        tls.load_cert_chain(f"/proc/self/fd/{descriptor}")
