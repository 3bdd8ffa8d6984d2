"""Writes a report object about every namespace that has a policy, and one about the cluster.

Nobody waits for a report: they are looked through in rounds, one namespace after the other, and written one after the
other at a bounded rate, each as it is at that moment. One that says what is there already is not written.

A report that outlived what it is about would claim what nobody observes. So the operator deletes those whose policies
are gone, and all of them have an owner: a ClusterRole of the installation, which goes when reports are switched off or
the operator is removed, or else the policies themselves.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from audit_operator.cluster.lease import LeadershipLostError
from audit_operator.cluster.report_kinds import REPORT_NAME, WRITTEN_BY, WRITTEN_BY_LABEL, served
from audit_operator.cluster.resources import CLUSTER_ROLE, resource_of
from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError
from audit_operator.compliance.open_reports import MOST_RESULTS, SOURCE, content
from audit_operator.plan.compliance_reports import ReportBasis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.cluster.rate_limit import RateLimit
    from audit_operator.cluster.report_kinds import ReportKinds
    from audit_operator.cluster.rest import Document, RestClient
    from audit_operator.cluster.status_writer import EncodedStatus
    from audit_operator.plan import Plan, Snapshot
    from audit_operator.plan.compliance_reports import Seen

_LOG = logging.getLogger(__name__)
NAME = REPORT_NAME
_PAGE = 5
"""Reports listed at once: a tenant's may be as large as etcd takes, and many times that when it is read."""
_LABELS = {"app.kubernetes.io/managed-by": NAME, WRITTEN_BY_LABEL: WRITTEN_BY}
_NOBODY = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS})
"""What the API server answers for other reasons than the object."""
_SERVER_ERROR = 500
_COMPARED = ("source", "configuration", "scope", "summary", "results")
_MOST_FAILURES = 5
"""So many writes one after the other that failed, not for the object's sake, and a round is given up."""
_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 3600.0
"""Seconds until a report is tried again that was refused, as by a quota of its namespace: others go before."""


@dataclass(frozen=True, slots=True)
class _There:
    """A report that is there: its identity, and a hash of what it says."""

    uid: str
    says: bytes


@dataclass(frozen=True, slots=True)
class _Refused:
    """When a report is tried again, and how often it was refused in a row."""

    until: float
    times: int


@dataclass(slots=True)
class ReportFigures:
    """What happened since the start, for metrics."""

    written: int = 0
    deleted: int = 0
    failed: int = 0


@dataclass(slots=True)
class ReportObjects:
    """Keeps the report objects, in a round every `every` seconds.

    Attributes:
        field_manager: owner of the fields in server-side apply; must never change between releases.
        owner: name of the ClusterRole that owns all reports; empty: each belongs to its policies.
        rate: bounds what is written and deleted.
        relist: seconds after which it is looked again at what there is, since somebody else may have changed it.
    """

    client: RestClient
    field_manager: str
    owner: str
    rate: RateLimit
    every: float = 60.0
    relist: float = 1800.0
    clock: Callable[[], float] = time.monotonic
    figures: ReportFigures = field(default_factory=ReportFigures)
    _facts: tuple[Snapshot, Plan, Mapping[ObjectRef, EncodedStatus]] | None = None
    _basis: ReportBasis | None = None
    _kinds: ReportKinds | None = None
    _listed: float = 0.0
    _there: dict[str, _There] = field(default_factory=dict)
    _made_from: dict[str, Seen] = field(default_factory=dict)
    _stored_as: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    _refused: dict[str, _Refused] = field(default_factory=dict)

    @property
    def present(self) -> int:
        """How many reports of ours there are."""
        return len(self._there)

    def follow(self, snapshot: Snapshot, planned: Plan, statuses: Mapping[ObjectRef, EncodedStatus]) -> None:
        """Report on these facts from now on."""
        self._facts, self._basis = (snapshot, planned, statuses), None

    async def run(self) -> None:
        """Go round for ever. Raises LeadershipLostError and nothing else: no bug here may stop what records."""
        while True:
            try:
                await self.round()
            except LeadershipLostError:
                raise
            except (ApiError, ApiUnreachableError, InconsistentListError) as error:
                _LOG.warning("Reports not written: %s", error, extra={"reason": type(error).__name__})
            except Exception as error:  # noqa: BLE001 - see the docstring
                _LOG.error("Reports not written", exc_info=error, extra={"reason": type(error).__name__})
            await asyncio.sleep(self.every)

    async def round(self) -> None:
        """Once through all namespaces. Raises ApiError, ApiUnreachableError, InconsistentListError."""
        if self._facts is None:
            return
        kinds = await served(self.client)
        wanted = kinds[0] if kinds else None
        if wanted is not self._kinds or self.clock() - self._listed > self.relist:
            self._forget(wanted)
            for each in kinds[1:]:
                await self._remove(each, await self._list(each))
            self._there = await self._list(wanted) if wanted else {}
            self._listed = self.clock()
        if wanted is not None:
            await self._write_all(wanted, await self._owner())

    def _forget(self, wanted: ReportKinds | None) -> None:
        self._kinds = wanted
        self._there, self._made_from = {}, {}

    async def _list(self, kinds: ReportKinds) -> dict[str, _There]:
        """The reports of ours that there are, by place."""
        found: dict[str, _There] = {}
        for resource in (kinds.namespaced, kinds.cluster):
            listing = await self.client.list(resource, lambda each: (each["metadata"], _says(each)), page_size=_PAGE)
            for metadata, says in listing.items:
                found[metadata.get("namespace", "")] = _There(metadata["uid"], says)
        return found

    async def _owner(self) -> list[dict[str, Any]]:
        """The one owner of all reports; none where policies are."""
        if not self.owner:
            return []
        role = await self.client.metadata(CLUSTER_ROLE, name=self.owner)
        return [_reference(CLUSTER_ROLE.api_version, CLUSTER_ROLE.kind, self.owner, role["metadata"]["uid"])]

    async def _write_all(self, kinds: ReportKinds, owner: list[dict[str, Any]]) -> None:
        """Bring every report up to date, by the facts as they are when its turn comes."""
        basis, failures = await self._current(), 0
        # Namespaces without one come first.
        for place in sorted(basis.places, key=lambda each: (each in self._there, each)):
            basis = await self._current()
            refused = self._refused.get(place)
            if place not in basis.places or (refused is not None and refused.until > self.clock()):
                continue
            failures = 0 if await self._tried(kinds, basis, place, owner) else failures + 1
            if failures == _MOST_FAILURES:
                return
        gone = {place: each for place, each in self._there.items() if place not in basis.places}
        await self._remove(kinds, gone)

    async def _current(self) -> ReportBasis:
        while self._basis is None:
            facts = self._facts
            if facts is None:
                raise AssertionError("there is nothing to report before the first facts")
            snapshot, planned, statuses = facts
            made = await asyncio.to_thread(
                ReportBasis.of, snapshot, planned, {ref: each.text for ref, each in statuses.items()}
            )
            if self._facts is facts:
                self._basis = made
        return self._basis

    async def _tried(self, kinds: ReportKinds, basis: ReportBasis, place: str, owner: list[dict[str, Any]]) -> bool:
        """Whether it is worth while to go on with others."""
        try:
            await self._bring_up_to_date(kinds, basis, place, owner)
        except (ApiError, ApiUnreachableError) as error:
            self.figures.failed += 1
            _LOG.warning("A report was not written: %s", error, extra=_about(kinds, place, type(error).__name__))
            if not isinstance(error, ApiError) or error.status in _NOBODY or error.status >= _SERVER_ERROR:
                return False
            self._put_off(place)
        return True

    def _put_off(self, place: str) -> None:
        """A namespace whose report is refused must not keep others waiting for theirs."""
        times = self._refused[place].times + 1 if place in self._refused else 0
        pause = min(_FIRST_PAUSE * 2.0**times, _LONGEST_PAUSE)
        self._refused[place] = _Refused(self.clock() + pause, min(times, 10))

    async def _bring_up_to_date(
        self, kinds: ReportKinds, basis: ReportBasis, place: str, owner: list[dict[str, Any]]
    ) -> None:
        seen = await asyncio.to_thread(basis.seen, place)
        there = self._there.get(place)
        if there is not None and seen.is_as(self._made_from.get(place)):
            return
        results = await asyncio.to_thread(basis.results, place)
        owners = owner or [
            _reference(resource_of(each.ref).api_version, each.kind, each.metadata.name, each.metadata.uid)
            for each in basis.owners(place)
        ]
        document = _document(kinds, place, owners, results)
        says = _says(document)
        if there is None or there.says not in (says, self._as_stored(place, says)):
            await self.rate.wait()
            await self._write(kinds, place, document, says)
        self._made_from[place] = seen

    def _as_stored(self, place: str, says: bytes) -> bytes:
        """What the API server made of a report that says this; what it does not know it has dropped."""
        wrote, stored = self._stored_as.get(place, (b"", b""))
        return stored if wrote == says else says

    async def _write(self, kinds: ReportKinds, place: str, document: Document, says: bytes) -> None:
        resource = kinds.of(place)
        former = await self._former(kinds, place)
        if former is not None and former["metadata"].get("labels", {}).get(WRITTEN_BY_LABEL) != WRITTEN_BY:
            self.figures.failed += 1
            _LOG.warning("A report of that name is somebody else's", extra=_about(kinds, place, "NotOurs"))
            self._put_off(place)
            return
        document = {**document, "results": _with_times(document["results"], former, int(time.time()))}
        if former is not None:
            document["metadata"] = {**document["metadata"], "uid": former["metadata"]["uid"]}
        answer = await self.client.apply(resource, document, field_manager=self.field_manager)
        self._there[place] = _There(answer["metadata"]["uid"], _says(answer))
        self._stored_as[place] = (says, _says(answer))
        self._refused.pop(place, None)
        self.figures.written += 1

    async def _former(self, kinds: ReportKinds, place: str) -> Document | None:
        try:
            return await self.client.get(kinds.of(place), name=NAME, namespace=place)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def _remove(self, kinds: ReportKinds, gone: Mapping[str, _There]) -> None:
        """Delete those that are still the same. Raises ApiUnreachableError."""
        for place, each in gone.items():
            await self.rate.wait()
            try:
                await self.client.delete(kinds.of(place), name=NAME, namespace=place, uid=each.uid)
            except ApiError as error:
                if not error.conflict:  # else it is another one by now
                    self.figures.failed += 1
                    extra = _about(kinds, place, type(error).__name__)
                    _LOG.warning("A report was not deleted: %s", error, extra=extra)
                    continue
            self.figures.deleted += 1
            for known in (self._there, self._made_from, self._stored_as):
                known.pop(place, None)


def _about(kinds: ReportKinds, place: str, reason: str) -> dict[str, str]:
    return {"object": f"{kinds.of(place).kind} {place}/{NAME}", "reason": reason}


def _reference(api_version: str, kind: str, name: str, uid: str) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid}


def _document(kinds: ReportKinds, place: str, owners: list[dict[str, Any]], results: list[dict[str, Any]]) -> Document:
    """The object, without times."""
    resource = kinds.of(place)
    of_whole = {"source": SOURCE, "configuration": {"limits": {"maxResults": MOST_RESULTS}}}
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": NAME,
            **({"namespace": place} if place else {}),
            "labels": _LABELS,
            "ownerReferences": owners,
        },
        **(of_whole if kinds.sourced else {}),
        **content(results if kinds.sourced else [{**each, "source": SOURCE} for each in results], place),
    }


def _says(document: Mapping[str, Any]) -> bytes:
    """A hash of what a report says and of whom it belongs to, whenever that was found."""
    said = {name: document[name] for name in _COMPARED if name in document}
    results = said.get("results") or ()
    said["results"] = [{name: value for name, value in each.items() if name != "timestamp"} for each in results]
    said["owners"] = sorted(each.get("uid", "") for each in document["metadata"].get("ownerReferences") or ())
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()


def _with_times(results: list[dict[str, Any]], former: Document | None, now: int) -> list[dict[str, Any]]:
    """Each result with the time since when it is so."""
    known = {_key(each): each["timestamp"] for each in (former or {}).get("results") or () if "timestamp" in each}
    return [{**each, "timestamp": known.get(_key(each), {"seconds": now, "nanos": 0})} for each in results]


def _key(result: Mapping[str, Any]) -> tuple[str, ...]:
    plane = (result.get("properties") or {}).get("controlPlane", "")
    return result.get("policy", ""), result.get("rule", ""), result.get("result", ""), plane
