"""`erase`: find all records of a subject, erase what nothing forbids to erase, and keep a record of that."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.api.findings import ObjectRef
from audit_operator.api.text import printable
from audit_operator.cli.erasing import opened
from audit_operator.cli.erasure_text import erasure_text
from audit_operator.cli.from_cluster import add_connection, read_cluster
from audit_operator.cli.inputs import STDIN, read_facts
from audit_operator.cli.named_sinks import chosen, readable_secrets
from audit_operator.cli.sealing import signing_key
from audit_operator.cli.usage import UsageError, namespace
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.integrity.interval import moment
from audit_operator.plan.erasure import Obstacles, keep_hours
from audit_operator.plan.selection import known_namespaces
from audit_operator.plan.sinks import Sinks
from audit_operator.retention.erasure import UNSEEN, ErasureRecord, Keys, Phase, Share, subject_name
from audit_operator.shipping.injection.names import shipper_name
from audit_operator.shipping.redaction.keyring import MOST_BYTES, RANDOM_BYTES, Keyring, KeyringUnusable
from audit_operator.shipping.redaction.pseudonyms import PseudonymKey, pseudonym

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.cli.erasing import Places
    from audit_operator.cli.inputs import Facts
    from audit_operator.controller.sink_access import Stores
    from audit_operator.controller.sink_secrets import Secrets
    from audit_operator.plan.sinks import Sink
    from audit_operator.sinks.erasure import Names, SubjectErasure, Where
    from audit_operator.sinks.store import Failure

EXAMPLES = """examples:
  audit-operator erase --subject dora@example.com -n payments             what would be erased, and what not, and why
  audit-operator erase --subject dora@example.com -n payments --reason GDPR-2026-17 --yes
  audit-operator erase --subject dora@example.com --all --yes             of all namespaces, also those that are gone
  audit-operator erase --subject dora@example.com -n payments --sink central --yes
  audit-operator erase --subject dora@example.com -n payments --destroy-keys --yes
  audit-operator erase --subject dora@example.com --all -f objects/ --keyring keyring.json.gz --register erasures/

Without --yes nothing is changed. Found are records whose user has this name, in clear or as a pseudonym under any key
that is left, or who was impersonated under it; others that hold the name are counted. A legal hold forbids to erase,
and so does a minimum, up to its age. Erased is in VictoriaLogs with -delete.enable; of other stores it is said what to
do there. Afterwards the namespaces where something was found (with -n: those named) get new keys, so that new
pseudonyms cannot be linked with old ones.
--destroy-keys destroys all keys that the namespaces have had, with --all those of all: NOBODY's pseudonyms of until now
can be found or told there any more, and no later erasure finds them. Not where a hold or a minimum is, or where
something is left in a VictoriaLogs that could be found.
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
    where.add_argument(
        "-n", "--namespace", type=namespace, metavar="NAME", action="append", help="whose records; may be given again"
    )
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
    if options.keyring is not None and not options.keyring.exists():
        raise UsageError(f"{options.keyring}: there is no such file, so that pseudonyms would not be found")
    facts = _read_facts(options)
    if options.filename:
        _require_namespaces(facts)
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


def _read_facts(options: argparse.Namespace) -> Facts:
    return read_facts(options.filename) if options.filename else read_cluster(options)


def _require_namespaces(facts: Facts) -> None:
    """Where policies pick namespaces by labels, files without these would make them hold everything."""
    picking = [
        each.metadata.name for each in facts.snapshot.cluster_audit_policies if each.spec.namespace_selector is not None
    ]
    if picking and not facts.snapshot.namespaces:
        raise UsageError(
            f"the files hold no Namespace, and ClusterAuditPolicy {picking[0]} picks some by their labels: add them"
        )


def _plane(options: argparse.Namespace, facts: Facts) -> str:
    names = sorted(each.metadata.name for each in facts.snapshot.control_planes)
    if options.control_plane in names:
        return str(options.control_plane)
    if options.control_plane is None and len(names) == 1:
        return names[0]
    if not names:
        raise UsageError(
            "there is no AuditControlPlane among the objects: without one nobody knows what policies forbid"
        )
    wanted = options.control_plane
    why = "there are several control planes" if wanted is None else f"there is no control plane {wanted!r}"
    raise UsageError(f"{why}: --control-plane must be one of: {', '.join(names)}")


@dataclass(frozen=True, slots=True)
class _Planned:
    """The share of a namespace in a sink, and how it is erased."""

    share: Share
    sink: Sink
    store: SubjectErasure
    where: Where
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
            stores = Stores(held, Network(), Network(foreign=True))
            keyring = await _keyring(places)
            self._miss_keys(keyring)
            await self._read_sidecar_keys(held)
            for sink in self._asked(sinks):
                await self._plan(sink, stores, keyring, obstacles)
            namespaces = self._key_namespaces()
            keys = self._keys(keyring, namespaces, obstacles)
            begun = self._record(keyring, Phase.BEGUN, [each.share for each in self.planned], keys, namespaces)
            if not self.in_earnest:
                return self._say(begun, 0 if self._is_whole(begun.shares, planned=True) else 1)
            await self._warrant()
            await places.register(begun)
            shares = [await self._erase(each) for each in self.planned]
            if keys in (Keys.RENEWED, Keys.DESTROYED):
                keys = await self._changed_keys(places, keys, namespaces, shares)
            ended = self._record(keyring, Phase.ENDED, shares, keys, namespaces)
            where = await places.register(ended)
            await self._tell(ended, sinks, stores)
            print(f"recorded as {where}", file=sys.stderr)
            return self._say(ended, int(not self._is_whole(ended.shares) or bool(self.failed)))

    def _asked(self, sinks: Iterable[Sink]) -> list[Sink]:
        """Of tenants' sinks only those of namespaces that were asked for: a tenant reads what its store is asked."""
        barred = Sinks.of(self.facts.snapshot).barred
        asked: list[Sink] = []
        for sink in sinks:
            namespace = sink.metadata.namespace
            if not namespace or ((self.options.all or namespace in self.options.namespace) and sink.ref not in barred):
                asked.append(sink)
            elif sink.ref in barred:
                self.untouched[str(sink.ref)] = f"it is not asked: {barred[sink.ref].message}"
        return asked

    def _miss_keys(self, keyring: Keyring | None) -> None:
        """Say so where there should be keys."""
        asking = [each.ref for each in self.facts.snapshot.policies() if _pseudonymizes(each)]
        if keyring is None and asking:
            self.untouched["keys of pseudonyms"] = (
                f"there are none, though {asking[0]} asks for pseudonyms: what has any is not found"
            )

    async def _obstacles_now(self) -> Obstacles:
        """As they are by now: an erasure may take hours. Raises UsageError: nobody knows."""
        if STDIN not in (self.options.filename or ()):
            self.facts = await asyncio.to_thread(_read_facts, self.options)
        return self._obstacles()

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
        can, names = await store.can_erase(), await self._names(sink, store, keyring)
        if isinstance(can, Failure) or isinstance(names, Failure):
            self._fail(sink, can if isinstance(can, Failure) else names)
            return
        if not can:
            self.untouched[str(sink.ref)] = _NO_DELETION
        everywhere = self.options.all and not sink.metadata.namespace
        known = [each.name for each in known_namespaces(self.facts.snapshot)] if everywhere else None
        hits = await store.found_in(names, known=known)
        if isinstance(hits, Failure):
            self._fail(sink, hits)
            return
        for where in (*hits.namespaces, *((hits.made_up,) if hits.made_up is not None else ())):
            called = names.get(where) if isinstance(where, str) else None
            planned = _Planned(_no_share(sink, where), sink, store, where, called or Names(self.options.subject), None)
            counted = await self._counted(planned, obstacles)
            self.planned += [counted] if counted is not None else []
            if isinstance(where, str) and self.options.subject.lower() in where.lower():
                said = "its name holds that of the subject, and stands in the record of the erasure for ever"
                print(f"namespace {printable(where)}: {said}", file=sys.stderr)

    async def _counted(self, planned: _Planned, obstacles: Obstacles) -> _Planned | None:
        """With what a store has of it now, and what forbids to erase it; None where the store did not say."""
        from audit_operator.sinks.store import Failure  # noqa: PLC0415 - see run

        sink, where = planned.sink, planned.where
        # What policies say by name is about names that they know.
        forbidding = obstacles.to(where if isinstance(where, str) else UNSEEN, sink)
        keep = keep_hours(forbidding) if str(sink.ref) not in self.untouched else None
        counted = await planned.store.count(where, planned.names, keep, self.now)
        if isinstance(counted, Failure):
            self._fail(sink, counted)
            return None
        share = planned.share.model_copy(
            update={
                "found": counted.found,
                "erasable": counted.erasable,
                "mentioned": counted.mentioned,
                "obstacles": tuple(map(str, forbidding)),
            }
        )
        return replace(planned, share=share, keep=keep)

    async def _names(self, sink: Sink, store: SubjectErasure, keyring: Keyring | None) -> dict[str, Names] | Failure:
        """What the subject is called, in each namespace that was asked for; to a tenant, in its own."""
        from audit_operator.sinks.erasure import Names  # noqa: PLC0415 - see run
        from audit_operator.sinks.store import Failure  # noqa: PLC0415

        asked: tuple[str, ...] | Failure
        if sink.metadata.namespace:
            asked = (sink.metadata.namespace,)
        else:
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
            if policy.spec.application_logs is None or not _pseudonymizes(policy):
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

    def _key_namespaces(self) -> tuple[str, ...]:
        """Those that get other keys; none that a request has made up."""
        hit = {each.where for each in self.planned if isinstance(each.where, str) and each.share.found}
        return tuple(sorted(hit) if self.options.all else dict.fromkeys(self.options.namespace))

    def _keys(self, keyring: Keyring | None, namespaces: tuple[str, ...], obstacles: Obstacles) -> Keys:
        """What is to become of the keys. Nobody destroys what tells whose the records are that must be kept."""
        if keyring is None:
            return Keys.NONE
        keys = Keys.DESTROYED if self.options.destroy_keys else Keys.RENEWED
        if keys is Keys.DESTROYED and self._is_forbidden(namespaces, obstacles):
            return Keys.KEPT
        if not (namespaces or (self.options.all and self.options.destroy_keys)):
            return Keys.KEPT
        if len(self._change(keyring, keys, namespaces).encoded()) > MOST_BYTES:
            self.failed.append(
                "keys are kept as they are: with this change, no Secret could hold them (docs/erasure.md)"
            )
            return Keys.KEPT
        return keys

    def _is_forbidden(self, namespaces: Iterable[str], obstacles: Obstacles) -> bool:
        """Whether something forbids to destroy keys, which is said."""
        if self.options.all:
            names = dict.fromkeys((*namespaces, *(each.name for each in known_namespaces(self.facts.snapshot)), ""))
            namespaces = names
        for each in namespaces:
            if forbidding := obstacles.to(each):
                self.failed.append(f"keys of {each or '(no namespace)'} are not destroyed: {forbidding[0]}")
                return True
        if self.options.all and obstacles.any:
            self.failed.append(f"keys are not destroyed: {obstacles.any[0]}")
            return True
        return False

    def _change(self, keyring: Keyring, keys: Keys, namespaces: tuple[str, ...]) -> Keyring:
        if keys is Keys.RENEWED:
            return keyring.renewed(namespaces)
        random = secrets.token_bytes(RANDOM_BYTES)
        if self.options.all:
            return keyring.without_any(self.now, random)
        return keyring.without(namespaces, self.now, random)

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
                leaves = await each.store.leaves(each.where, each.names, each.keep, self.now)
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
        """What nothing forbids by now."""
        from audit_operator.sinks.store import Failure  # noqa: PLC0415 - see run

        if planned.keep is None or not planned.share.erasable:
            return planned.share
        try:
            counted = await self._counted(planned, await self._obstacles_now())
        except UsageError as error:
            self.failed.append(f"{planned.share.sink}: nobody knows what forbids it by now: {error}")
            return planned.share
        if counted is None or counted.keep is None or not counted.share.erasable:
            return (counted or planned).share
        left = await counted.store.erase(counted.where, counted.names, counted.keep, self.now)
        if isinstance(left, Failure):
            self.failed.append(f"{counted.share.sink}: {left.message} ({left.mend})")
            return counted.share
        return counted.share.model_copy(update={"left": left})

    async def _changed_keys(
        self, places: Places, keys: Keys, namespaces: tuple[str, ...], shares: Iterable[Share]
    ) -> Keys:
        """Change them where nothing is left that nobody could find without them; what became of them."""
        # A tenant's store is its own; what it says, or does not, is in nobody's way.
        ours = [each for each, of in zip(shares, self.planned, strict=True) if not of.sink.metadata.namespace]
        whole = all(each.left == 0 or not each.erasable for each in ours)
        if keys is Keys.DESTROYED:
            whole = all(each.is_done for each in ours)
        if not whole and keys is Keys.DESTROYED:
            self.failed.append("keys are not destroyed: without them, nobody would find again what is left")
        if not whole or self.failed:
            return Keys.KEPT
        try:
            if keys is Keys.DESTROYED and self._is_forbidden(namespaces, await self._obstacles_now()):
                return Keys.KEPT
            await self._change_keys(places, keys, namespaces)
        except (BoardUnavailable, KeyringUnusable, UsageError) as error:
            self.failed.append(f"keys are kept as they were: {str(error) or 'they cannot be read'}")
            return Keys.KEPT
        return keys

    async def _change_keys(self, places: Places, keys: Keys, namespaces: tuple[str, ...]) -> None:
        """Change those that are there now: somebody may have rotated them meanwhile."""
        for attempt in range(_TRIES):
            held = await places.keyring()
            if held is None:
                raise BoardUnavailable("they are gone")
            changed = self._change(Keyring.decoded(held.content), keys, namespaces)
            try:
                await places.keep_keyring(changed.encoded(), held.revision)
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

    def _record(
        self, keyring: Keyring | None, phase: Phase, shares: list[Share], keys: Keys, namespaces: tuple[str, ...]
    ) -> ErasureRecord:
        every = keys is Keys.DESTROYED and self.options.all
        changed = namespaces if keys in (Keys.RENEWED, Keys.DESTROYED) and not every else ()
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
            keys_of=changed,
        )

    def _is_whole(self, shares: Iterable[Share], *, planned: bool = False) -> bool:
        done = all(each.erasable == each.found if planned else each.is_done for each in shares)
        # What cannot be read may be a policy whose sidecars have a key, or a sink.
        return done and not self.untouched and not self.failed and not self.facts.findings

    def _fail(self, sink: Sink, failure: object) -> None:
        from audit_operator.sinks.store import Failure  # noqa: PLC0415 - see run

        if not isinstance(failure, Failure):
            return
        said = f"{failure.message} ({failure.mend})"
        if sink.metadata.namespace:
            self.untouched[str(sink.ref)] = f"it could not be asked: {said}"
        else:
            self.failed.append(f"{sink.ref}: {said}")

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


def _pseudonymizes(policy: AuditPolicy | ClusterAuditPolicy) -> bool:
    return policy.spec.redaction is not None and bool(policy.spec.redaction.pseudonymize)


def _no_share(sink: Sink, where: Where) -> Share:
    return Share(sink=str(sink.ref), namespace=where if isinstance(where, str) else UNSEEN, found=0, erasable=0)


def _by_hand(sink: Sink) -> str:
    return (
        f"a store of type {sink.spec.type.value} is not searched: records stay until its retention deletes them. Where "
        "they have pseudonyms, --destroy-keys makes these meaningless; where they have names, see docs/erasure.md"
    )


async def _keyring(places: Places) -> Keyring | None:
    held = await places.keyring()
    return Keyring.decoded(held.content) if held else None
