"""A board in memory, which fails when it is told to, and on which every call can be made to wait."""

from __future__ import annotations

from audit_operator.api.observations import policy_digest
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.static_pod.board import Posted, Turn, TurnLost


class MemoryBoard:
    def __init__(self):
        self.told = {}  # plane -> Instructions
        self.policies = {}  # digest -> text
        self.posted = {}  # node -> Posted
        self.history = []  # (node, report) in the order in which reports arrived
        self.turns = {}  # plane -> Turn
        self.labelled = {}  # node -> labels
        self.kubelets = {}  # node -> version; that of others is v1.37.2
        self.calls = []
        self.unavailable = set()  # names of methods
        self.version = 0

    async def arrive(self, call):
        """Before anything happens."""
        self.calls.append(call)
        if call in self.unavailable or "all" in self.unavailable:
            raise BoardUnavailable("the cluster is away")

    async def leave(self, call):
        """After it has happened, before the caller hears of it."""

    def next_version(self):
        self.version += 1
        return str(self.version)

    async def instructions(self):
        await self.arrive("instructions")
        return tuple(self.told.values())

    async def instruct(self, instructions):
        await self.arrive("instruct")
        self.told[instructions.plane] = instructions

    async def policy(self, digest):
        await self.arrive("policy")
        return self.policies.get(digest, "")

    async def publish_policy(self, digest, text):
        await self.arrive("publish_policy")
        assert policy_digest(text) == digest
        assert self.policies.setdefault(digest, text) == text

    async def forget_policies_except(self, digests):
        await self.arrive("forget_policies_except")
        self.policies = {digest: text for digest, text in self.policies.items() if digest in digests}

    async def reports(self):
        await self.arrive("reports")
        return dict(self.posted)

    async def report(self, node, report):
        await self.arrive("report")
        self.post(node, report)
        await self.leave("report")

    def post(self, node, report, age=0.0):
        self.posted[node] = Posted(report, self.next_version(), age)
        self.history.append((node, report))

    async def turn(self, plane):
        await self.arrive("turn")
        return self.turns.get(plane, Turn())

    async def write_turn(self, plane, turn, holder):
        await self.arrive("write_turn")
        if self.turns.get(plane, Turn()).version != turn.version:
            raise TurnLost
        self.turns[plane] = Turn(holder, self.next_version())
        await self.leave("write_turn")
        return self.turns[plane]

    async def nodes(self, labels):
        await self.arrive("nodes")
        fitting = sorted(name for name, own in self.labelled.items() if labels.items() <= own.items())
        return {name: self.kubelets.get(name, "v1.37.2") for name in fitting}
