"""Commands that run until they are told to stop, each with an application of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from audit_operator.cli.usage import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from audit_operator.settings import Settings


def serve(application: Callable[[Settings], Coroutine[Any, Any, int]], *, node: str = "") -> int:
    """Run an application with the settings of the environment; returns its exit status.

    Args:
        application: its composition root.
        node: what AUDIT_OPERATOR_NODE must name; empty where it need not be set.

    Raises:
        UsageError: the settings, or the credentials, cannot be used.
    """
    # Imported here: the client takes half a second that no other command should pay.
    from audit_operator.cluster.connection import ConnectionConfigError  # noqa: PLC0415
    from audit_operator.settings import Settings, SettingsError  # noqa: PLC0415

    try:
        settings = Settings.from_environment()
        if node and not settings.node:
            raise UsageError(f"AUDIT_OPERATOR_NODE must name {node}")
        return asyncio.run(application(settings))
    except (SettingsError, ConnectionConfigError) as error:
        raise UsageError(str(error)) from error
