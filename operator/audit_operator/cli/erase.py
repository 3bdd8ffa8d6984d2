"""`erase`: find all records of a subject, erase what nothing forbids to erase, and keep a record of that."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.api.findings import ObjectRef
from audit_operator.api.text import printable
from audit_operator.cli.erasing import opened
from audit_operator.cli.erasure_text import erasure_text
from audit_operator.cli.from_cluster import add_connection, read_cluster
from audit_operator.cli.inputs import read_facts
from audit_operator.cli.named_sinks import chosen, readable_secrets
from audit_operator.cli.sealing import signing_key
from audit_operator.cli.usage import UsageError
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.integrity.interval import moment
from audit_operator.plan.erasure import Obstacles, keep_hours
from audit_operator.retention.erasure import ErasureRecord, Keys, Phase, Share, subject_name
from audit_operator.shipping.injection.names import shipper_name
from audit_operator.shipping.redaction.keyring import RANDOM_BYTES, Keyring, KeyringUnusable
from audit_operator.shipping.redaction.pseudonyms import PseudonymKey, pseudonym

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from audit_operator.cli.erasing import Places
    from audit_operator.cli.inputs import Facts
    from audit_operator.controller.sink_access import Stores
    from audit_operator.controller.sink_secrets import Secrets
    from audit_operator.plan.sinks import Sink
    from audit_operator.sinks.erasure import Names, SubjectErasure
    from audit_operator.sinks.store import Failure

EXAMPLES = """examples:
  audit-operator erase --subject dora@example.com -n payments             what would be erased, and what not, and why
  audit-operator erase --subject dora@example.com -n payments --reason GDPR-2026-17 --yes
  audit-operator erase --subject dora@example.com --all --yes             of all namespaces, also those that are gone
  audit-operator erase --subject dora@example.com -n payments --sink central --yes
  audit-operator erase --subject dora@example.com -n payments --destroy-keys --yes
  audit-operator erase --subject dora@example.com --all -f objects/ --keyring keyring.json.gz --register erasures/

Without --yes nothing is changed. Found are records whose user has this name, in clear or as a pseudonym under any key
that is left, or who was impersonated under it. A legal hold forbids to erase, and so does a minimum, up to its age.
Erased is in VictoriaLogs with -delete.enable; of other stores it is said what to do there. Afterwards the namespaces
get new keys, so that new pseudonyms cannot be linked with old ones.
--destroy-keys destroys all keys that the namespaces have had: NOBODY's pseudonyms of until now can be found or told
there any more, and no later erasure finds them. Not where a hold or a minimum is.
Each erasure is recorded before it begins and when it is over, with the subject under another name: in ConfigMaps of the
operator's namespace that cannot be changed, and in the sinks. With -f, the files must hold all policies of the cluster.

Exit status: 0 if nothing that was found is left (without --yes: would be left); 1 if something is, or could not be
looked at; 2 for wrong usage.
"""
_TRIES = 5


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "erase",
        help="erase the records of a subject",
        description="Find the records of a subject, and erase those that nothing forbids to erase.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--subject", metavar="NAME", required=True, help="user, as API servers name them")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("-n", "--namespace", metavar="NAME", action="append", help="whose records; may be given again")
    where.add_argument("--all", action="store_true", help="all namespaces, and records of none")
    parser.add_argument(
        "--sink",
        metavar="SINK",
        action="append",
        default=[],
        help="NAMESPACE/NAME of an AuditSink, NAME of a ClusterAuditSink; may be given again (default: all)",
    )
    parser.add_argument("--yes", action="store_true", help="do it; without it, only what would be done is said")
    parser.add_argument("--dry-run", action="store_true", help="do nothing, whatever else is said")
    parser.add_argument("--destroy-keys", action="store_true", help="destroy all keys that the namespaces have had")
    parser.add_argument("--reason", metavar="TEXT", default="", help="for the record, such as a ticket; no names")
    parser.add_argument(
        "--sign-key", metavar="FILE", type=Path, help="private key that signs what `verify --erasures` believes"
    )
    parser.add_argument("--warrants", metavar="FOLDER", type=Path, help="where that goes: hashes of erased records")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text", help="default: text")
    _add_places(parser)
    add_connection(parser)
    parser.set_defaults(run=run)


def _add_places(parser: argparse.ArgumentParser) -> None:
    places = parser.add_argument_group("where things are")
    places.add_argument("--control-plane", metavar="NAME", help="AuditControlPlane, where there are several")
    places.add_argument(
        "--cluster-name", metavar="NAME", help="that records carry (default: the name of the control plane)"
    )
    places.add_argument(
        "--operator-namespace", metavar="NAME", default="audit-operator", help="default: audit-operator"
    )
    places.add_argument(
        "-f",
        "--filename",
        metavar="PATH",
        action="append",
        help="file, folder, or - for standard input, with all objects, and Secrets (default: those of the cluster)",
    )
    places.add_argument("--keyring", metavar="FILE", type=Path, help="keys of pseudonyms, in place of the Secret")
    places.add_argument("--register", metavar="FOLDER", type=Path, help="where records go, with --keyring")


def run(options: argparse.Namespace) -> int:
    """Find, erase where it is to be done, and say what came of it."""
    if (options.keyring is None) != (options.register is None):
        raise UsageError("--keyring and --register belong together")
    if options.destroy_keys and options.sink:
        raise UsageError(
            "keys are destroyed for all sinks: without them, nobody finds what others have; leave out --sink"
        )
    if (options.sign_key is None) != (options.warrants is None):
        raise UsageError("--sign-key and --warrants belong together")
    if options.subject.lower() in options.reason.lower():
        raise UsageError("--reason is kept for ever, and holds the name of the subject: leave it out there")
    facts = read_facts(options.filename) if options.filename else read_cluster(options)
    for finding in facts.findings:
        print(f"{finding.object or finding.location.file}: {finding.message}", file=sys.stderr)
    erasure = _Erasure(options, facts, _plane(options, facts), options.yes and not options.dry_run)
    try:
        return asyncio.run(erasure.run())
    except BoardUnavailable as error:
        print(f"audit-operator: {error}", file=sys.stderr)
        return 1
    except KeyringUnusable:
        raise UsageError("the keys of pseudonyms cannot be read, so that not all records would be found") from None


def _plane(options: argparse.Namespace, facts: Facts) -> str:
    names = sorted(each.metadata.name for each in facts.snapshot.control_planes)
    if options.control_plane in names:
        return str(options.control_plane)
    if options.control_plane is None and len(names) == 1:
        return names[0]
    raise UsageError(f"--control-plane must be one of: {', '.join(names) or '(there is none among the objects)'}")


@dataclass(frozen=True, slots=True)
class _Planned:
    """The share of a namespace in a sink, and how it is erased."""

    share: Share
    store: SubjectErasure
    names: Names
    keep: int | None


@dataclass(slots=True)
class _Erasure:
    options: argparse.Namespace
    facts: Facts
    plane: str
    in_earnest: bool
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    id: str = ""
    planned: list[_Planned] = field(default_factory=list)
    untouched: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    _sidecars: defaultdict[str, list[PseudonymKey]] = field(default_factory=lambda: defaultdict(list), repr=False)

    async def run(self) -> int:
        # Imported here: the clients take a quarter of a second that other commands should not pay.
        from audit_operator.controller.sink_access import Stores  # noqa: PLC0415
        from audit_operator.sinks.network import Network  # noqa: PLC0415

        self.id = f"{self.now:%Y%m%d}-{secrets.token_hex(4)}"
        sinks = chosen(tuple(self.facts.snapshot.sinks()), self.options.sink)
        obstacles = self._obstacles()
        async with opened(self.options, self.plane) as places, readable_secrets(self.options) as held:
            stores = Stores(held, Network(), Network())
            keyring = await _keyring(places)
            await self._read_sidecar_keys(held)
            for sink in sinks:
                await self._plan(sink, stores, keyring, obstacles)
            namespaces = self._key_namespaces(keyring)
            keys = self._keys(keyring, namespaces, obstacles)
            begun = self._record(keyring, Phase.BEGUN, [each.share for each in self.planned], keys)
            if not self.in_earnest:
                return self._say(begun, 0 if self._is_whole(begun.shares, planned=True) else 1)
            await self._warrant()
            await places.register(begun)
            shares = [await self._erase(each) for each in self.planned]
            if all(each.left == 0 or not each.erasable for each in shares) and not self.failed:
                await self._change_keys(places, keys, namespaces)
            elif keys in (Keys.RENEWED, Keys.DESTROYED):
                # Without its keys, nobody would find again what is left.
                keys = Keys.KEPT
            ended = self._record(keyring, Phase.ENDED, shares, keys)
            where = await places.register(ended)
            await self._tell(ended, sinks, stores)
            print(f"recorded as {where}", file=sys.stderr)
            return self._say(ended, int(not self._is_whole(ended.shares) or bool(self.failed)))

    def _obstacles(self) -> Obstacles:
        nameless = [ObjectRef("file", each.location.file) for each in self.facts.findings if each.object is None]
        named = [each.object for each in self.facts.findings if each.object is not None]
        return Obstacles.of(self.facts.snapshot, [*named, *nameless])

    async def _plan(self, sink: Sink, stores: Stores, keyring: Keyring | None, obstacles: Obstacles) -> None:
        """See what a sink has of the subject."""
        from audit_operator.sinks.erasure import Names, SubjectErasure  # noqa: PLC0415 - see run
        from audit_operator.sinks.retention.victoria_logs import VictoriaLogsRetention  # noqa: PLC0415
        from audit_operator.sinks.store import Failure  # noqa: PLC0415

        opened_store = await stores.open_retention(sink, (self.options.cluster_name or self.plane,))
        if isinstance(opened_store, Failure):
            self._fail(sink, opened_store)
            return
        if not isinstance(opened_store, VictoriaLogsRetention):
            self.untouched[str(sink.ref)] = _by_hand(sink)
            return
        store = SubjectErasure(opened_store)
        can, names = await store.can_erase(), await self._names(store, keyring)
        if isinstance(can, Failure) or isinstance(names, Failure):
            self._fail(sink, can if isinstance(can, Failure) else names)
            return
        if not can:
            self.untouched[str(sink.ref)] = _NO_DELETION
        hits = await store.found_in(names, anywhere=self.options.all)
        if isinstance(hits, Failure):
            self._fail(sink, hits)
            return
        for namespace in hits:
            called = names.get(namespace, Names(self.options.subject))
            await self._plan_share(sink, store, namespace, called, obstacles)

    async def _plan_share(
        self, sink: Sink, store: SubjectErasure, namespace: str, names: Names, obstacles: Obstacles
    ) -> None:
        from audit_operator.sinks.store import Failure  # noqa: PLC0415 - see run

        forbidding = obstacles.to(namespace, sink)
        keep = keep_hours(forbidding) if str(sink.ref) not in self.untouched else None
        counted = await store.count(namespace, names, keep, self.now)
        if isinstance(counted, Failure):
            self._fail(sink, counted)
            return
        share = Share(
            sink=str(sink.ref),
            namespace=namespace,
            found=counted.found,
            erasable=counted.erasable,
            obstacles=tuple(map(str, forbidding)),
        )
        self.planned.append(_Planned(share, store, names, keep))

    async def _names(self, store: SubjectErasure, keyring: Keyring | None) -> dict[str, Names] | Failure:
        """What the subject is called, in each namespace that was asked for."""
        from audit_operator.sinks.erasure import Names  # noqa: PLC0415 - see run
        from audit_operator.sinks.store import Failure  # noqa: PLC0415

        asked = await store.namespaces() if self.options.all else tuple(dict.fromkeys(self.options.namespace))
        if isinstance(asked, Failure):
            return asked
        subject = self.options.subject
        kept = {each: (*(keyring.kept(each) if keyring else ()), *self._sidecars[each]) for each in asked}
        return {each: Names(subject, tuple(pseudonym(key, each, subject) for key in kept[each])) for each in asked}

    async def _read_sidecar_keys(self, held: Secrets) -> None:
        """Sidecars have a key for each policy, in a Secret of its namespace: under it, a subject has one more name."""
        from audit_operator.cluster.secrets import SecretUnreadable  # noqa: PLC0415 - see run
        from audit_operator.controller.sidecar_objects import SECRET_KEY, pseudonym_key_in  # noqa: PLC0415

        for policy in self.facts.snapshot.audit_policies:
            namespace, name = policy.metadata.namespace, policy.metadata.name
            redaction = policy.spec.redaction
            if policy.spec.application_logs is None or redaction is None or not redaction.pseudonymize:
                continue
            if not self.options.all and namespace not in self.options.namespace:
                continue
            read = await held.read(namespace, shipper_name(name))
            key = "" if isinstance(read, SecretUnreadable) else pseudonym_key_in(read.get(SECRET_KEY, b""))
            if key:
                self._sidecars[namespace].append(PseudonymKey.of(key))
            else:
                why = read.message if isinstance(read, SecretUnreadable) else "it holds none"
                self.untouched[f"sidecars of {policy.ref}"] = f"records with their pseudonyms are not found: {why}"

    def _key_namespaces(self, keyring: Keyring | None) -> tuple[str, ...]:
        if keyring is None:
            return ()
        hit = sorted({each.share.namespace for each in self.planned})
        return tuple(hit if self.options.all else dict.fromkeys(self.options.namespace))

    def _keys(self, keyring: Keyring | None, namespaces: Iterable[str], obstacles: Obstacles) -> Keys:
        """What is to become of the keys. Nobody destroys what tells whose the records are that must be kept."""
        if keyring is None:
            return Keys.NONE
        if not self.options.destroy_keys:
            return Keys.RENEWED
        for each in namespaces:
            if forbidding := obstacles.to(each):
                self.failed.append(f"keys of {each or '(no namespace)'} are not destroyed: {forbidding[0]}")
                return Keys.KEPT
        return Keys.DESTROYED

    async def _warrant(self) -> None:
        """Sign which records will be missing; before they are, since afterwards nobody knows their hashes."""
        if self.options.sign_key is None:
            return
        from audit_operator.integrity.warrant import of_leaves  # noqa: PLC0415 - see run
        from audit_operator.sinks.store import Failure  # noqa: PLC0415

        key = signing_key(self.options.sign_key)
        by_sink: defaultdict[str, set[bytes]] = defaultdict(set)
        for each in self.planned:
            if each.keep is not None and each.share.erasable:
                leaves = await each.store.leaves(each.share.namespace, each.names, each.keep, self.now)
                if isinstance(leaves, Failure):
                    raise UsageError(f"{each.share.sink}: {leaves.message} ({leaves.mend}); nothing was erased")
                by_sink[each.share.sink] |= leaves
        for sink, leaves in by_sink.items():
            name = sink.replace(" ", "/")
            warrant = key.sign(of_leaves(self.id, moment(self.now.replace(microsecond=0)), name, leaves))
            path = self.options.warrants / f"{self.id}-{name.replace('/', '-')}.json"
            try:
                self.options.warrants.mkdir(parents=True, exist_ok=True)
                path.write_bytes(warrant.encode())
            except OSError as error:
                raise UsageError(f"{path}: {error.strerror}; nothing was erased") from error

    async def _erase(self, planned: _Planned) -> Share:
        from audit_operator.sinks.store import Failure  # noqa: PLC0415 - see run

        share = planned.share
        if planned.keep is None or not share.erasable:
            return share
        left = await planned.store.erase(share.namespace, planned.names, planned.keep, self.now)
        if isinstance(left, Failure):
            self.failed.append(f"{share.sink}: {left.message} ({left.mend})")
            return share
        return share.model_copy(update={"left": left})

    async def _change_keys(self, places: Places, keys: Keys, namespaces: tuple[str, ...]) -> None:
        """Change those that are there now: somebody may have rotated them meanwhile."""
        if keys not in (Keys.RENEWED, Keys.DESTROYED) or not namespaces:
            return
        change: Callable[[Keyring], Keyring] = lambda ring: (  # noqa: E731 - one of two
            ring.renewed(namespaces)
            if keys is Keys.RENEWED
            else ring.without(namespaces, self.now, secrets.token_bytes(RANDOM_BYTES))
        )
        for attempt in range(_TRIES):
            held = await places.keyring()
            if held is None:
                return
            try:
                await places.keep_keyring(change(Keyring.decoded(held.content)).encoded(), held.revision)
            except BoardUnavailable:
                if attempt == _TRIES - 1:
                    raise
            else:
                return

    async def _tell(self, record: ErasureRecord, sinks: Iterable[Sink], stores: Stores) -> None:
        """Leave the record in the platform's stores, too, where whoever administers the cluster cannot delete it."""
        from audit_operator.sinks.store import Failure, Record, Unsupported  # noqa: PLC0415 - see run

        for sink in sinks:
            if sink.metadata.namespace:
                continue
            opened_store = await stores.open(sink)
            written: object = opened_store
            if not isinstance(opened_store, Failure):
                attributes = {"cluster": self.options.cluster_name or self.plane}
                entry = Record(f"erasure-{self.id}", record.phase.value, self.now, record.text(), attributes)
                written = await opened_store.store.write(entry)
            if isinstance(written, Failure):
                self._fail(sink, written)
            elif isinstance(written, Unsupported):
                print(f"{sink.ref}: has no record of this: {written.reason}", file=sys.stderr)

    def _record(self, keyring: Keyring | None, phase: Phase, shares: list[Share], keys: Keys) -> ErasureRecord:
        key = keyring.register_key if keyring else None
        return ErasureRecord(
            id=self.id,
            phase=phase,
            time=moment(datetime.now(UTC).replace(microsecond=0)),
            # Without a key of its own, a hash of the name would be the name.
            subject=subject_name(key, self.options.subject) if key else "",
            reason=self.options.reason,
            control_plane=self.plane,
            namespaces=tuple(self.options.namespace or ()),
            shares=tuple(shares),
            untouched=self.untouched,
            keys=keys,
        )

    def _is_whole(self, shares: Iterable[Share], *, planned: bool = False) -> bool:
        done = all(each.erasable == each.found if planned else each.is_done for each in shares)
        # What cannot be read may be a policy whose sidecars have a key, or a sink.
        return done and not self.untouched and not self.failed and not self.facts.findings

    def _fail(self, sink: Sink, failure: object) -> None:
        from audit_operator.sinks.store import Failure  # noqa: PLC0415 - see run

        if isinstance(failure, Failure):
            self.failed.append(f"{sink.ref}: {failure.message} ({failure.mend})")

    def _say(self, record: ErasureRecord, status: int) -> int:
        if self.options.output == "json":
            print(record.model_dump_json(by_alias=True, indent=2))
        else:
            print(erasure_text(record, in_earnest=self.in_earnest))
        for each in self.failed:
            print(f"audit-operator: {printable(each)}", file=sys.stderr)
        return status


_NO_DELETION = (
    "it does not delete single records: start VictoriaLogs with -delete.enable for the time of the erasure; in a store "
    "that an AuditSink names, whoever owns the namespace has to"
)


def _by_hand(sink: Sink) -> str:
    return (
        f"a store of type {sink.spec.type.value} is not searched: records stay until its retention deletes them. Where "
        "they have pseudonyms, --destroy-keys makes these meaningless; where they have names, see docs/erasure.md"
    )


async def _keyring(places: Places) -> Keyring | None:
    held = await places.keyring()
    return Keyring.decoded(held.content) if held else None
