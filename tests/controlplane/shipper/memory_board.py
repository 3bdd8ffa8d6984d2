"""A cluster in memory, as operator and shippers see it; and files that can be shipped."""

from __future__ import annotations

from datetime import UTC, datetime

from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.shipper.board import HeldKeyring, Posted, Told
from audit_operator.plan.collector_files import CollectorFiles

RENEWED = datetime(2026, 11, 28, 11, 0, 0, tzinfo=UTC)


class MemoryBoard:
    def __init__(self):
        self.secret = None  # Told
        self.ring = None  # HeldKeyring
        self.posted = {}  # node -> Posted
        self.labelled = ("cp-1",)
        self.calls = []
        self.away = False
        self.version = 0

    def arrive(self, call):
        self.calls.append(call)
        if self.away:
            raise BoardUnavailable("the cluster is away")

    def next_version(self):
        self.version += 1
        return str(self.version)

    async def revision(self, _plane):
        self.arrive("revision")
        return self.secret.revision if self.secret else ""

    async def told(self, _plane):
        self.arrive("told")
        return self.secret

    async def tell(self, _plane, _uid, instructions, pseudonym_keys):
        self.arrive("tell")
        return self.write(instructions, pseudonym_keys)

    def write(self, instructions, pseudonym_keys="ab"):
        self.secret = Told(self.next_version(), instructions, pseudonym_keys)
        return self.secret.revision

    async def keyring_revision(self, _plane):
        self.arrive("keyring_revision")
        return self.ring.revision if self.ring else ""

    async def keyring(self, _plane):
        self.arrive("keyring")
        return self.ring

    async def keep_keyring(self, _plane, content, revision):
        self.arrive("keep_keyring")
        if revision != (self.ring.revision if self.ring else ""):
            raise BoardUnavailable("somebody else has written it")
        self.write_keyring(content)

    def write_keyring(self, content):
        self.ring = HeldKeyring(self.next_version(), content)

    async def reports(self):
        self.arrive("reports")
        return dict(self.posted)

    async def report(self, node, report):
        self.arrive("report")
        self.post(node, report)

    def post(self, node, report, age=0.0):
        self.posted[node] = Posted(report, self.next_version(), RENEWED, age)

    async def nodes(self, _selector):
        self.arrive("nodes")
        if self.labelled is None:
            raise BoardUnavailable("nodes may not be listed")
        return self.labelled


def files(mark="good", **more):
    """What a configuration is does not matter where no collector reads it."""
    fields = {
        "config": mark,
        "digest": f"d-{mark}",
        "table": "t",
        "table_file": "table-ab.yaml",
        "settings": {"x": "y"},
    }
    return CollectorFiles(**{**fields, "sinks": {}, "findings": {}, **more})
