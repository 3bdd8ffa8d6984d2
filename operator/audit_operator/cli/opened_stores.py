"""The stores of sinks, opened with the credentials that they name. Imported late: it brings in every client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.cli.usage import UsageError
from audit_operator.controller.sink_access import Stores
from audit_operator.sinks.network import Network
from audit_operator.sinks.store import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.controller.sink_secrets import Secrets
    from audit_operator.plan.sinks import Sink
    from audit_operator.sinks.store import Store


async def open_stores(sinks: Iterable[Sink], secrets: Secrets) -> list[Store]:
    """The stores, in the order of the sinks.

    Raises:
        UsageError: one cannot be opened.
    """
    stores = Stores(secrets, Network(), Network())
    found = []
    for sink in sinks:
        opened = await stores.open(sink)
        if isinstance(opened, Failure):
            raise UsageError(f"{sink.ref}: {opened.message} ({opened.mend})")
        found.append(opened.store)
    return found
