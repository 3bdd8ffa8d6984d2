"""Keeps what was proved where the next leader finds it: in a ConfigMap of the operator's own."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.controlplane.configmap import ConfigMapUnavailable
from audit_operator.proof.memory import MemoryUnreadableError, decode, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.controlplane.configmap import ConfigMapStore
    from audit_operator.proof.memory import RememberedPlane

_LOG = logging.getLogger(__name__)

LARGEST = 900_000
"""Characters of all control planes together; an object may have 1 MiB."""

_ABOUT = {
    "audit-operator.dev/about": "What live probes have proved, so that it outlives the operator. Whoever may write "
    "this can make up proof, until the next round of probes; delete it, and everything is proved anew."
}


@dataclass(frozen=True, slots=True)
class ProofMemory:
    """What is remembered, by control plane; in the ConfigMap of this `name`."""

    config_maps: ConfigMapStore
    namespace: str
    name: str

    async def read(self) -> Mapping[str, RememberedPlane]:
        """Everything that can be read. Raises nothing: without memory everything is proved anew, which costs time."""
        try:
            data = await self.config_maps.read(self.namespace, self.name) or {}
        except ConfigMapUnavailable as error:
            self._warn("Proof not remembered", error)
            return {}
        found = {}
        for plane, text in data.items():
            try:
                found[plane] = await asyncio.to_thread(decode, text, time.time())
            except MemoryUnreadableError as error:
                self._warn("Proof not remembered", error)
        return found

    async def write(self, planes: Mapping[str, RememberedPlane]) -> bool:
        """Remember this in place of what was remembered; returns whether it is. Raises nothing."""
        largest = LARGEST // max(len(planes), 1)
        data = {plane: await asyncio.to_thread(encode, known, largest) for plane, known in planes.items()}
        try:
            await self.config_maps.apply(self.namespace, self.name, data, _ABOUT)
        except ConfigMapUnavailable as error:
            self._warn("Proof will not be remembered", error)
            return False
        return True

    def _warn(self, what: str, error: Exception) -> None:
        extra = {"object": f"ConfigMap {self.namespace}/{self.name}", "reason": type(error).__name__}
        _LOG.warning("%s: %s", what, error, extra=extra)
