"""ConfigMaps as the ConfigMap driver needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.cluster.resources import CONFIG_MAP
from audit_operator.cluster.rest import ApiError, ApiUnreachableError
from audit_operator.controlplane.configmap import ConfigMapUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.cluster.rest import RestClient


@dataclass(frozen=True, slots=True)
class ConfigMaps:
    """Implements `controlplane.configmap.ConfigMapStore`."""

    client: RestClient
    field_manager: str

    async def read(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """The data of a ConfigMap, None if there is no such ConfigMap."""
        try:
            document = await self.client.get(CONFIG_MAP, namespace=namespace, name=name)
        except ApiError as error:
            if error.not_found:
                return None
            raise ConfigMapUnavailable(str(error)) from error
        except ApiUnreachableError as error:
            raise ConfigMapUnavailable(str(error)) from error
        return {str(key): str(value) for key, value in (document.get("data") or {}).items()}

    async def apply(self, namespace: str, name: str, data: Mapping[str, str], annotations: Mapping[str, str]) -> None:
        """Create the ConfigMap, or make our part of it like this."""
        body = {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "metadata": {"name": name, "namespace": namespace, "annotations": dict(annotations)},
            "data": dict(data),
        }
        try:
            await self.client.apply(CONFIG_MAP, body, field_manager=self.field_manager)
        except (ApiError, ApiUnreachableError) as error:
            raise ConfigMapUnavailable(str(error)) from error
