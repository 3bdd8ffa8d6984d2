"""Keeping warrants of erasures beside the seals, so that who verifies on a schedule needs to be handed none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.integrity import warrant as warrants
from audit_operator.integrity.signed import digest
from audit_operator.sinks.seal_archive import warrant_name
from audit_operator.sinks.store import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.integrity.warrant import Warrant
    from audit_operator.sinks.seal_archive import SealArchive


async def kept_warrants(archive: SealArchive) -> list[Warrant] | Failure:
    """All that are in an archive, whoever has signed them; what is none is left out, and excuses nothing."""
    names = await archive.warrants()
    if isinstance(names, Failure):
        return names
    found = []
    for name in names:
        encoded = await archive.read(name)
        if isinstance(encoded, Failure):
            return encoded
        warrant = warrants.decode(encoded) if encoded is not None else None
        if warrant is not None:
            found.append(warrant)
    return found


async def keep_warrants(archive: SealArchive, made: Iterable[Warrant]) -> Failure | None:
    """Keep these, too. One that is there already stays as it is: its name is its digest."""
    for each in made:
        encoded = each.encode()
        kept = await archive.add(warrant_name(digest(encoded)), encoded)
        if isinstance(kept, Failure):
            return kept
    return None
