"""The webhook's certificates in the cluster: a Secret for the replicas, and the bundle for the API server.

The leader writes both; every replica reads the first.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from audit_operator.cluster.resources import SECRET, WEBHOOK_CONFIGURATION
from audit_operator.cluster.rest import ApiError, ApiUnreachableError
from audit_operator.controller.serving_certificates import Certificates, CertificatesError, rotated

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit_operator.cluster.rest import RestClient

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class WebhookTrust:
    """Keeps certificates that are good, and the API server's trust in them.

    `name` is that of the Service, of the Secret beside it and of the MutatingWebhookConfiguration.
    """

    client: RestClient
    namespace: str
    name: str
    every: float = 60.0
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def keep(self) -> None:
        """As the leader, for ever."""
        while True:
            try:
                await self.step()
            except (ApiError, ApiUnreachableError) as error:
                _LOG.warning("Webhook not kept: %s", error, extra={"object": self.name, "reason": "NotKept"})
            await asyncio.sleep(self.every)

    async def step(self) -> None:
        """Once. Raises ApiError, ApiUnreachableError."""
        known = await self.read()
        wanted = rotated(known, self._names(), self.now())
        if known is not None and wanted.current != known.current:
            # Whoever is served with the former one is still trusted: the bundle had both for an hour, and keeps both.
            _LOG.info("Webhook serves with another certificate", extra={"object": self.name, "reason": "Rotated"})
        if wanted is not known and known is not None:
            await self._trust(wanted.bundle + known.current.authority)  # before anybody serves with it
        if wanted is not known:
            await self._write(wanted)
        await self._trust(wanted.bundle)

    async def read(self) -> Certificates | None:
        """The certificates that are there; None if there are none, or none that can be used.

        Raises ApiError, ApiUnreachableError.
        """
        try:
            document = await self.client.get(SECRET, namespace=self.namespace, name=self.name)
        except ApiError as error:
            if error.not_found:
                return None
            raise
        try:
            data = {key: base64.b64decode(text).decode() for key, text in (document.get("data") or {}).items()}
            return Certificates.from_data(data)
        except (CertificatesError, ValueError):
            return None

    async def _write(self, certificates: Certificates) -> None:
        data = {key: base64.b64encode(text.encode()).decode() for key, text in certificates.to_data().items()}
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "data": data,
        }
        await self.client.apply(SECRET, body, field_manager="audit-operator-webhook")

    async def _trust(self, bundle: str) -> None:
        encoded = base64.b64encode(bundle.encode()).decode()
        document = await self.client.get(WEBHOOK_CONFIGURATION, name=self.name)
        webhooks = document.get("webhooks") or []
        if all(each["clientConfig"].get("caBundle") == encoded for each in webhooks):
            return
        changed = [{**each, "clientConfig": {**each["clientConfig"], "caBundle": encoded}} for each in webhooks]
        body = {"metadata": {"resourceVersion": document["metadata"]["resourceVersion"]}, "webhooks": changed}
        await self.client.merge(WEBHOOK_CONFIGURATION, name=self.name, body=body)

    def _names(self) -> tuple[str, ...]:
        service = f"{self.name}.{self.namespace}.svc"
        return service, f"{service}.cluster.local"
