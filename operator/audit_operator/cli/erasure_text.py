"""What `erase` says of an erasure, for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.text import printable
from audit_operator.retention.erasure import Keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from audit_operator.retention.erasure import ErasureRecord, Share

_KEYS: Mapping[Keys, str] = {
    Keys.NONE: "there are none",
    Keys.KEPT: "kept as they were",
    Keys.RENEWED: "the namespaces have new ones; old ones are kept",
    Keys.DESTROYED: "destroyed: no pseudonym of until now can be found or told any more there, of NOBODY",
}
_KEYS_TO_BE: Mapping[Keys, str] = {
    **_KEYS,
    Keys.RENEWED: "the namespaces would get new ones; old ones would be kept",
    Keys.DESTROYED: "would be destroyed: no pseudonym of until now could be found or told any more there, of NOBODY",
}


def erasure_text(record: ErasureRecord, *, in_earnest: bool) -> str:
    """A line for each share; `in_earnest`: whether it was done. Names in it may be anything, and are made printable."""
    return "\n".join(map(printable, _lines(record, in_earnest=in_earnest)))


def _lines(record: ErasureRecord, *, in_earnest: bool) -> Iterator[str]:
    total, subject = sum(each.found for each in record.shares), record.subject or "(no keys to name it with)"
    yield f"erasure {record.id}, subject {subject}: {total} records found"
    for each in record.shares:
        yield _share(each, in_earnest=in_earnest)
    for sink, why in record.untouched.items():
        yield f"{sink}: {why}"
    names = f" ({', '.join(each or '(no namespace)' for each in record.keys_of)})" if record.keys_of else ""
    yield f"keys of pseudonyms{names}: {(_KEYS if in_earnest else _KEYS_TO_BE)[record.keys]}"
    if not in_earnest:
        yield "nothing was changed; do it with --yes"


def _share(share: Share, *, in_earnest: bool) -> str:
    erased = share.erasable - (share.erasable if share.left is None else share.left)
    what = f"{erased} erased" if in_earnest else f"{share.erasable} would be erased"
    if in_earnest and share.erasable and share.left is None:
        what = f"nobody counted how many of {share.erasable} were erased"
    forbidden = f"; forbidden: {'; '.join(share.obstacles)}" if share.obstacles and share.erasable < share.found else ""
    others = f"; {share.mentioned} of other users hold the name, and stay" if share.mentioned else ""
    return f"{share.sink}, {share.namespace or '(no namespace)'}: {share.found} records, {what}{forbidden}{others}"
