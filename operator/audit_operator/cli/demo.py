"""`demo`: the main job on a control plane of one's own, with every claim checked while it is shown."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from audit_operator.api.crd import render_crds
from audit_operator.api.sink import ClusterAuditSinkSpec
from audit_operator.controlplane.assets import Assets, ShippingAssets, provide, provide_shipping
from audit_operator.controlplane.local_control_plane import ClusterUser, LocalControlPlane
from audit_operator.controlplane.ports import free_ports
from audit_operator.controlplane.preflight import preflight
from audit_operator.proof.selecting import PROBER
from audit_operator.sinks import Access, Failure, Found, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

EXAMPLES = """examples:
  audit-operator demo                  show everything, then end
  audit-operator demo --keep           stay up afterwards, and print how to connect
"""
API_VERSION = "audit-operator.dev/v1alpha1"
ALICE = ClusterUser("alice", ("team-payments",))
OPERATOR = ClusterUser("audit-operator")
_PATIENCE = 120.0


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo",
        help="show the main job on an embedded control plane",
        description="Start etcd and kube-apiserver on loopback, run the operator, and show policies becoming the audit "
        "policy that the API server really runs. Ends with a summary; exits with 1 if a claim did not hold.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--keep", action="store_true", help="stay up at the end until interrupted")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show it."""
    say("Providing etcd, kube-apiserver and kubectl, a collector and VictoriaLogs")
    assets, shipping = provide(), provide_shipping()
    say(f"Starting etcd and kube-apiserver {assets.kubernetes_version} on loopback")
    with (
        LocalControlPlane(assets, users=(ALICE, OPERATOR)) as plane,
        _victoria_logs(shipping.victoria_logs, plane.folder) as logs,
    ):
        demo = Demo(assets, shipping, plane, logs)
        demo.prepare()
        demo.operator = demo.start_operator()
        try:
            demo.show()
            if options.keep:
                demo.wait()
        except DemoError as error:
            print(f"    {error}", file=sys.stderr)
            demo.claim("the demo ran to its end", holds=False)
        finally:
            demo.operator.terminate()
            demo.operator.wait(30)
    return demo.summary()


class DemoError(Exception):
    """The demo cannot go on."""


@contextmanager
def _victoria_logs(binary: Path, folder: Path) -> Iterator[str]:
    """A VictoriaLogs on loopback whose data goes with the control plane's folder; gives its address."""
    url = f"127.0.0.1:{next(free_ports())}"
    arguments = [f"-httpListenAddr={url}", f"-storageDataPath={folder / 'victoria-logs'}", "-memory.allowedPercent=10"]
    with (folder / "victoria-logs.log").open("wb") as log:
        process = subprocess.Popen([binary, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603 - the store of the demo
    try:
        yield f"http://{url}"
    finally:
        process.terminate()
        process.wait(30)


def say(text: str) -> None:
    """One step, for people."""
    print(f"\n\033[1m==> {text}\033[0m" if sys.stdout.isatty() else f"\n==> {text}", flush=True)


def thing(kind: str, name: str, spec: Mapping[str, Any], namespace: str = "") -> dict[str, Any]:
    """One of our objects."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": dict(spec)}


@dataclass(slots=True)
class Demo:
    """The scenes, and what came of them."""

    assets: Assets
    shipping: ShippingAssets
    plane: LocalControlPlane
    logs: str
    claims: list[tuple[str, bool]] = field(default_factory=list)
    operator: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """What a cluster administrator does once."""
        say("Installing the CustomResourceDefinitions, and creating namespaces")
        self.kubectl("apply", "--server-side", "-f", "-", stdin="---\n".join(render_crds().values()))
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        for namespace in ("audit-operator", "payments", "web"):
            self.kubectl("create", "namespace", namespace)
        self.kubectl("create", "serviceaccount", PROBER, "-n", "audit-operator")
        self.kubectl(
            "create", "clusterrolebinding", "audit-operator", "--clusterrole=cluster-admin", f"--user={OPERATOR.name}"
        )
        self.kubectl(
            "create", "rolebinding", "alice", "-n", "payments", "--clusterrole=cluster-admin", f"--user={ALICE.name}"
        )

    def start_operator(self) -> subprocess.Popen[bytes]:
        """The operator as a process of its own, as it would be in a pod."""
        say("Starting the operator")
        log = self.plane.folder / "operator.log"
        environment = {
            "AUDIT_OPERATOR_KUBECONFIG": str(self.plane.kubeconfig(OPERATOR.name)),
            "AUDIT_OPERATOR_PROCESS_FOLDER": str(self.plane.folder),
            "AUDIT_OPERATOR_COLLECTOR": str(self.shipping.otelcol),
            "AUDIT_OPERATOR_LISTEN_HOST": "127.0.0.1",
            "AUDIT_OPERATOR_LISTEN_PORT": "0",
            # The only API server is restarted again and again: longer than a lease usually lasts.
            "AUDIT_OPERATOR_LEASE_SECONDS": "120",
            # A cluster would be proved within hours, so that probes are in nobody's way; here nobody else is.
            "AUDIT_OPERATOR_PROBE_SECONDS": "20",
            "AUDIT_OPERATOR_PROBE_SETTLE_SECONDS": "5",
            "AUDIT_OPERATOR_PROBE_PATIENCE_SECONDS": "60",
            "AUDIT_OPERATOR_PROBES_PER_SECOND": "100",
            "AUDIT_OPERATOR_PROBES_WITHOUT_NAME": "1000",
        }
        with log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "audit_operator", "run"], env={**os.environ, **environment}, stderr=output
            )

    def show(self) -> None:
        """All scenes."""
        self.scene_standard()
        self.scene_gap_closed()
        self.scene_requests()
        self.scene_shipping()
        self.scene_probes()
        self.scene_retention()
        self.scene_refusals()

    def scene_standard(self) -> None:
        """A cluster-wide standard that leaves gaps, and a tenant that adds to it."""
        say("The platform team sets a standard for everybody; the payments team adds what it needs")
        self.apply(
            thing("AuditControlPlane", "main", {"default": True, "driver": "Process"}),
            thing("ClusterAuditPolicy", "standard", {"preset": "Metadata"}),
            thing(
                "AuditPolicy",
                "pci",
                {"rules": [{"level": "Request", "resources": [{"group": "apps"}]}]},
                "payments",
            ),
        )
        self.until_programmed("pci", "payments")
        self.claim("the API server runs the compiled policy, and status says so", self.programmed("pci", "payments"))
        coverage = self.status("clusterauditpolicy", "standard")["coverage"]
        self.claim(f"status finds what Metadata cannot show: {coverage['gaps']} gaps", coverage["gaps"] > 0)
        worst = coverage["findings"][0]
        print(f"    worst: {worst['action']}: {worst['reason']}")

    def scene_gap_closed(self) -> None:
        """The gaps are closed by one field."""
        say("Closing the gaps: the standard becomes the preset Baseline, with a limit that nobody can exceed")
        secrets = {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]}
        self.apply(
            thing("ClusterAuditPolicy", "standard", {"preset": "Baseline", "limits": [secrets]}),
            thing(
                "AuditPolicy",
                "pci",
                {
                    "rules": [
                        {"level": "Request", "resources": [{"group": "apps"}]},
                        {
                            "level": "RequestResponse",
                            "resources": [{"group": "", "resources": ["secrets", "services"]}],
                        },
                    ]
                },
                "payments",
            ),
        )
        self.until_programmed("pci", "payments")
        coverage = self.status("clusterauditpolicy", "standard")["coverage"]
        print(f"    coverage {coverage['score']}, judged on the {coverage['basis'].lower()} policy")
        self.claim("no gap and no leak is left", coverage["gaps"] == coverage["leaks"] == 0)

    def scene_requests(self) -> None:
        """Real requests, and what the API server has recorded of them."""
        say("Alice works in payments; this is what the API server records")
        here = self.plane.audit_log.stat().st_size
        as_alice: tuple[tuple[str, ...], ...] = (
            ("get", "secrets"),
            ("create", "secret", "generic", "db", "--from-literal=password=hunter2"),
            ("create", "service", "clusterip", "db", "--tcp=5432"),
            ("create", "role", "reader", "--verb=get", "--resource=pods"),
            ("exec", "no-such-pod", "--", "id"),
            ("get", "--raw", "/api/v1/namespaces/payments/pods/no-such-pod/exec?command=id"),
            ("delete", "configmaps", "--all"),
        )
        for command in as_alice:
            self.kubectl("-n", "payments", *command, user=ALICE.name, check=False)
        self.kubectl("get", "pods", "--token=stolen", user=ALICE.name, check=False)
        events = list(self.events(here))
        mine = [event for event in events if event["user"].get("username") == ALICE.name]
        for event in mine:
            what = event["objectRef"]
            name = "/".join(filter(None, [what.get("resource"), what.get("subresource")]))
            print(f"    {event['level']:<16} {event['verb']:<17} {name:<13} {event['responseStatus']['code']}")
        levels = self.levels(mine)
        self.claim("reading secrets is recorded, at Metadata", levels.get(("list", "secrets")) == "Metadata")
        created = levels.get(("create", "secrets"))
        self.claim("so is writing them: the limit holds, although payments asks for more", created == "Metadata")
        self.claim(
            "no record holds the password",
            "hunter2" not in json.dumps(events) and "aHVudGVyMg" not in json.dumps(events),
        )
        self.claim("services are recorded as payments asks", levels.get(("create", "services")) == "RequestResponse")
        self.claim("a new role is recorded with its rules", levels.get(("create", "roles")) == "RequestResponse")
        self.claim("exec by WebSocket, a get, is recorded", ("get", "pods/exec") in levels)
        refused = [event for event in events if event["responseStatus"].get("code") == 401]  # noqa: PLR2004
        self.claim("a request with a stolen token leaves a record, without a user", bool(refused))

    def scene_shipping(self) -> None:
        """Records leave the node, each at the level that its own namespace asks for."""
        say("The records go to VictoriaLogs; web asks for less there than the API server records for everybody")
        central = [{"kind": "ClusterAuditSink", "name": "central"}]
        changes = {"level": "Request", "verbs": ["create"], "resources": [{"group": "", "resources": ["configmaps"]}]}
        began = time.monotonic()
        # As an envelope: fewer rules for the API server, which may record more than was asked for.
        self.apply(
            thing(
                "AuditControlPlane",
                "main",
                {"default": True, "driver": "Process", "precision": "Envelope", "probes": {"enabled": True}},
            ),
            thing("ClusterAuditSink", "central", {"type": "VictoriaLogs", "victoriaLogs": {"url": self.logs}}),
            thing("ClusterAuditPolicy", "standard", {"rules": [{"level": "Metadata"}], "sinkRefs": central}),
            thing("AuditPolicy", "pci", {"rules": [changes], "sinkRefs": central}, "payments"),
            thing("AuditPolicy", "web", {"rules": [{"level": "Metadata"}], "sinkRefs": central}, "web"),
        )
        self.until_programmed("pci", "payments")
        here, read = self.plane.audit_log.stat().st_size, dict[str, dict[str, Any]]()

        def levels_in_store() -> bool:
            """Ask anew each time: the shipper reads its table within seconds, and says so to nobody."""
            for namespace in ("payments", "web"):
                name = f"probe-{time.monotonic_ns()}"
                self.kubectl("-n", namespace, "create", "configmap", name, "--from-literal=colour=blue")
                read[namespace] = self.stored(self.audit_id(here, namespace, name))
            return self.in_store(read) == {"payments": "Request", "web": "Metadata"}

        self.kubectl("-n", "payments", "create", "configmap", "first", user=ALICE.name)
        first = self.stored(self.audit_id(here, "payments", "first"))
        took = time.monotonic() - began
        print(f"    {took:.1f} s after `apply`, of {first['user']['username']}, read from VictoriaLogs:")
        print(f"      {first['auditID']} {first['level']} {first['verb']} {first['objectRef']['resource']}")
        self.claim("Alice's first event is in VictoriaLogs", first["user"]["username"] == ALICE.name)
        self.patiently(levels_in_store)
        recorded = {
            event["objectRef"]["namespace"]: event["level"]
            for event in self.events(here)
            if event["auditID"] in {each["auditID"] for each in read.values()}
        }
        print(f"    recorded: {recorded}; in VictoriaLogs: {self.in_store(read)}")
        self.claim(
            "the API server records web at Request, and VictoriaLogs has it at Metadata, without a body",
            recorded.get("web") == "Request"
            and read["web"]["level"] == "Metadata"
            and "requestObject" not in read["web"],
        )
        self.claim("payments has the bodies that it asks for", "requestObject" in read["payments"])
        self.patiently(lambda: self.holds("Shipping", "pci", "payments"))
        self.claim("status says Shipping, since it was seen", self.holds("Shipping", "pci", "payments"))

    def scene_probes(self) -> None:
        """Verdicts are computed; whether they are true of this cluster, requests of the operator's own show."""
        say("Is that true? Refused requests of the operator's own are read back from VictoriaLogs")
        seen: dict[str, Any] = {}

        def proved() -> bool:
            seen.update(self.status("auditpolicy", "pci", "payments"))
            said, proof = seen.get("coverage", {}), seen.get("coverage", {}).get("proof", {})
            measured = any("latency" in each for each in seen.get("shipping", ()))
            # The first round may be earlier than the shipper, which has just been told otherwise.
            against = proof.get("contradicted", 0) + proof.get("missing", 0)
            return bool(said.get("verified")) and measured and not against

        self.patiently(proved)
        coverage, proof = seen["coverage"], seen["coverage"]["proof"]
        latency = seen["shipping"][0]["latency"]
        print(
            f"    payments: {coverage['verified']} of {coverage['total']} verdicts verified, {proof['contradicted']} "
            f"contradicted, {proof['missing']} missing, {proof['unproved']} that no probe would prove"
        )
        print(f"    {', '.join(f'{name} {value}' for name, value in latency.items())} from request to VictoriaLogs")
        print(f"    logging error rate {seen['metrics']['loggingErrorRate']}")
        self.claim(
            "what probes could prove is as computed, and nothing is lost",
            proof["contradicted"] == proof["missing"] == 0 and seen["metrics"]["loggingErrorRate"] == "0%",
        )

    def scene_retention(self) -> None:
        """How long the store keeps records, by its own word."""
        say("How long are they kept? The store is asked")
        central = [{"kind": "ClusterAuditSink", "name": "central"}]
        said = {}
        for minimum, state in (("5d", "Enforced"), ("30d", "Partial")):
            spec = {"rules": [{"level": "Metadata"}], "sinkRefs": central, "retention": {"minimum": minimum}}
            self.apply(thing("ClusterAuditPolicy", "standard", spec))
            found: list[dict[str, Any]] = []

            def look(state: str = state, found: list[dict[str, Any]] = found) -> bool:
                found[:] = self.status("clusterauditpolicy", "standard").get("retention", [])
                return [each["state"] for each in found] == [state]

            self.patiently(look)
            said[minimum] = found[0]
            print(f"    {minimum}: {state}; {found[0].get('reason') or found[0]['effective']}")
        self.claim("five days are Enforced: VictoriaLogs said that it keeps a week", "5d" in said)
        self.claim(
            "thirty days are not, and status says who can mend it", "-retentionPeriod" in said["30d"].get("reason", "")
        )

    def audit_id(self, since: int, namespace: str, name: str) -> str:
        """The audit ID under which the API server has recorded the creation of an object."""
        for event in self.events(since):
            what = event.get("objectRef", {})
            if (event["verb"], what.get("namespace"), what.get("name")) == ("create", namespace, name):
                return str(event["auditID"])
        message = f"the creation of {namespace}/{name} was not recorded"
        raise DemoError(message)

    def stored(self, audit_id: str) -> dict[str, Any]:
        """The event that VictoriaLogs has under an audit ID; waits for it."""
        spec = {"type": "VictoriaLogs", "victoriaLogs": {"url": self.logs}}
        store = open_store(ClusterAuditSinkSpec.model_validate_json(json.dumps(spec)), Access())
        if isinstance(store, Failure):
            raise DemoError(store.message)
        found: list[dict[str, Any]] = []

        def look() -> bool:
            since = datetime.now(UTC) - timedelta(hours=1)
            answer = asyncio.run(store.find(audit_id, "ResponseComplete", since=since))
            found.extend(json.loads(each.text) for each in (answer.records if isinstance(answer, Found) else ()))
            return bool(found)

        self.patiently(look)
        return found[0]

    def in_store(self, read: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """Level by namespace."""
        return {namespace: event["level"] for namespace, event in read.items()}

    def scene_refusals(self) -> None:
        """What never gets as far as the API server."""
        say("Mistakes are refused where they are made")
        wrong = thing("AuditPolicy", "typo", {"rules": [{"level": "None", "verb": ["get"]}]}, "web")
        answer = self.kubectl("apply", "-f", "-", stdin=json.dumps(wrong), check=False)
        print(f"    {answer.stderr.strip()[:200]}")
        self.claim("a misspelt key is refused with its name", answer.returncode != 0 and "verb" in answer.stderr)
        bad = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Everything\n"
        judged = preflight(self.assets.kube_apiserver, bad)
        print(f"    {judged.findings[0].message if judged.findings else ''}")
        self.claim("the real binary refuses a bad policy before it is delivered", bool(judged.findings))
        self.claim("and the policy in force is still in force", self.programmed("pci", "payments"))
        print(self.kubectl("get", "auditpolicies,clusterauditpolicies,auditcontrolplanes", "-A").stdout)

    # How it is done

    def kubectl(
        self, *arguments: str, user: str = "admin", stdin: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as a user."""
        done = subprocess.run(  # noqa: S603 - our own kubectl
            [self.assets.kubectl, f"--kubeconfig={self.plane.kubeconfig(user)}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        if check and done.returncode:
            raise DemoError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects, and show them."""
        for each in objects:
            print(f"    kubectl apply {each['kind']} {each['metadata']['name']}: {json.dumps(each['spec'])}")
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        # A restart of the API server may be under way.
        self.patiently(lambda: not self.kubectl("apply", "-f", "-", stdin=json.dumps(document), check=False).returncode)

    def status(self, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        """The status of an object; empty while the API server is away."""
        scope = ["-n", namespace] if namespace else []
        answer = self.kubectl("get", kind, name, *scope, "-o", "json", check=False)
        if answer.returncode:
            return {}
        found: dict[str, Any] = json.loads(answer.stdout)
        status: dict[str, Any] = found.get("status", {})
        return status if status.get("observedGeneration") == found["metadata"]["generation"] else {}

    def programmed(self, name: str, namespace: str) -> bool:
        """Whether a policy's condition Programmed is true."""
        return self.holds("Programmed", name, namespace)

    def holds(self, condition: str, name: str, namespace: str) -> bool:
        """Whether a policy's condition is true."""
        conditions = self.status("auditpolicy", name, namespace).get("conditions", [])
        return any(each["type"] == condition and each["status"] == "True" for each in conditions)

    def until_programmed(self, name: str, namespace: str) -> None:
        """Wait until a policy is programmed, and show how status gets there."""
        started, shown = time.monotonic(), ""

        def look() -> bool:
            nonlocal shown
            answer = self.kubectl("get", "auditpolicies", "-A", check=False)
            table = answer.stdout if not answer.returncode else "(the API server is being restarted)\n"
            rows = "\n".join(line.rsplit(maxsplit=1)[0] for line in table.splitlines())  # all but the age
            if rows != shown:
                shown = rows
                print(
                    f"    after {time.monotonic() - started:.0f} s\n      " + table.rstrip().replace("\n", "\n      "),
                    flush=True,
                )
            return self.programmed(name, namespace)

        self.patiently(look)

    def patiently(self, action: Callable[[], bool]) -> None:
        """Try until it works, but not for ever. Raises DemoError."""
        deadline = time.monotonic() + _PATIENCE
        while not action():
            if self.operator is not None and self.operator.poll() is not None:
                log = (self.plane.folder / "operator.log").read_text(encoding="utf-8", errors="replace")
                message = f"the operator has ended with {self.operator.returncode}; its last words:\n{log[-3000:]}"
                raise DemoError(message)
            if time.monotonic() > deadline:
                message = f"nothing came of it within {_PATIENCE:.0f} s"
                raise DemoError(message)
            time.sleep(0.5)

    def events(self, since: int) -> Iterator[dict[str, Any]]:
        """What the audit log has gained, but for the first of the two records that some requests have."""
        with self.plane.audit_log.open("rb") as log:
            log.seek(since)
            for line in log:
                event = json.loads(line)
                if event["stage"] == "ResponseComplete" or event.get("responseStatus", {}).get("code") == 401:  # noqa: PLR2004
                    yield event

    def levels(self, events: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
        """Level by verb and resource."""
        found = {}
        for event in events:
            what = event["objectRef"]
            resource = "/".join(filter(None, [what.get("resource"), what.get("subresource")]))
            found[event["verb"], resource] = event["level"]
        return found

    def claim(self, text: str, holds: bool) -> None:  # noqa: FBT001 - reads as a sentence
        """Note whether something is as promised."""
        self.claims.append((text, holds))
        print(f"    {'ok' if holds else 'NOT SO'}: {text}", flush=True)

    def wait(self) -> None:
        """Stay until interrupted."""
        say("Staying up until interrupted")
        print(
            f"    export KUBECONFIG={self.plane.kubeconfig()}\n    tail -f {self.plane.audit_log}\n"
            f"    VictoriaLogs: {self.logs}/select/vmui"
        )
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print()

    def summary(self) -> int:
        """Say what held; returns the exit status."""
        failed = [text for text, holds in self.claims if not holds]
        say(f"{len(self.claims) - len(failed)} of {len(self.claims)} claims held")
        for text in failed:
            print(f"    NOT SO: {text}")
        return int(bool(failed))
