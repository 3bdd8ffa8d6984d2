"""From a policy and a sink to records in a store, by a shipper on the node; and nothing is lost when that is killed."""

from __future__ import annotations

import itertools
import json
import time

import pytest

from tests.e2e.product import AGENTS, NAMESPACE, PLANE

SHOP = "shop"
STATE = "/var/lib/audit-operator-shipper"
SECRET_VALUE = "never-recorded-by-anybody"
API = "audit-operator.dev/v1alpha1"
WRITES = 20


@pytest.fixture(scope="module")
def shippers(product):
    """Switched on as the README says."""
    product.shell(
        f"helm upgrade audit-operator charts/audit-operator -n {NAMESPACE} --reuse-values "
        "--set shipper.enabled=true --wait --timeout 5m"
    )


@pytest.fixture(scope="module")
def shipped(product, request, victoria_logs):
    """A store that the policies of a namespace, and of the cluster, ship to; it has the first event already."""
    request.getfixturevalue("shippers")
    product.kubectl("create", "namespace", SHOP)
    spec = {"preset": "Baseline", "sinkRefs": [{"kind": "ClusterAuditSink", "name": "store"}]}
    policies = [("ClusterAuditPolicy", {"name": "shipped"}), ("AuditPolicy", {"name": "shop", "namespace": SHOP})]
    began = time.monotonic()
    product.apply(
        victoria_logs.sink("store"),
        *({"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec} for kind, metadata in policies),
    )
    write(product, "first")
    product.eventually(lambda: found(victoria_logs, "first"), "the first event in the store")
    product.report(f"from apply of policy and sink to the first event in the store: {time.monotonic() - began:.1f} s")
    return victoria_logs


def write(product, name):
    """A request that leaves one event of stage ResponseComplete."""
    product.kubectl("-n", SHOP, "create", "secret", "generic", name, f"--from-literal=value={SECRET_VALUE}")


def found(store, name):
    """Copies of the event that `write` leaves, as they are in the store."""
    events = store.events(f'namespace:="{SHOP}" AND verb:="create"')
    return [each for each in events if each["objectRef"].get("name") == name and each["stage"] == "ResponseComplete"]


def condition(product, name, *what):
    """Status and reason of an object's condition."""
    conditions = product.get(*what).get("status", {}).get("conditions", [])
    return next(((each["status"], each["reason"]) for each in conditions if each["type"] == name), ("", ""))


def shipping(product, *what):
    """Status and reason of an object's condition Shipping."""
    return condition(product, "Shipping", *what)


def shipper_pod(product):
    """The pod of the node's shipper, once there is one that has not ended."""
    selector = ("-l", "app.kubernetes.io/component=shipper")
    pods = product.get("-n", AGENTS, "pods", *selector)["items"]
    running = [each for each in pods if "deletionTimestamp" not in each["metadata"]]
    return running[0] if running else None


def is_ready(pod):
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))


def test_the_first_event_of_a_namespace_arrives_as_the_api_server_wrote_it(product, shipped):
    [event] = found(shipped, "first")
    assert event in list(product.events())
    assert (event["level"], event["responseStatus"]["code"]) == ("Metadata", 201)


def test_no_secret_gets_into_the_store(shipped):
    assert found(shipped, "first")
    assert shipped.records(f'"{SECRET_VALUE}"') == []


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize(
    "what", [["auditpolicy", "shop", "-n", SHOP], ["clusterauditpolicy", "shipped"], ["clusterauditsink", "store"]]
)
def test_shipping_is_true_once_the_store_was_seen_to_take_records(product, what):
    product.eventually(lambda: shipping(product, *what) == ("True", "Shipping"), f"Shipping of {what}", patience=60.0)


def test_what_belongs_to_no_namespace_arrives_too(product, shipped):
    product.kubectl("create", "clusterrole", "auditors", "--verb=get", "--resource=pods")
    query = 'verb:="create" AND "auditors"'
    product.eventually(
        lambda: [each for each in shipped.events(query) if each["objectRef"]["resource"] == "clusterroles"],
        "the event of a cluster-scoped object",
        patience=30.0,
    )


def test_nothing_is_lost_when_the_shipper_is_killed_under_traffic(product, shipped):
    pod = shipper_pod(product)
    names = [f"numbered-{number}" for number in range(WRITES)]
    for number, name in enumerate(names):
        if number == WRITES // 3:
            # As the kernel would, without a word.
            product.on_node("pkill", "-KILL", "-x", "otelcol")
        if number == 2 * WRITES // 3:
            options = ("--grace-period=0", "--force", "--wait=false")
            product.kubectl("-n", AGENTS, "delete", "pod", pod["metadata"]["name"], *options)
        write(product, name)
    product.eventually(
        lambda: all(found(shipped, name) for name in names), "all numbered writes in the store", patience=90.0
    )
    copies = sum(len(found(shipped, name)) for name in names)
    product.report(f"collector and pod killed during {WRITES} writes: all arrived, {copies - WRITES} twice")


def test_a_shipper_goes_on_where_the_one_before_it_stopped(product, shipped):
    before = shipper_pod(product)
    product.kubectl("-n", AGENTS, "delete", "pod", before["metadata"]["name"])

    def another():
        pod = shipper_pod(product)
        return pod and pod["metadata"]["uid"] != before["metadata"]["uid"] and is_ready(pod)

    product.eventually(another, "another shipper")
    write(product, "after")
    product.eventually(lambda: found(shipped, "after"), "the first event after the restart")
    # Nothing is sent once more; and nobody asked for the log to be read from its beginning.
    assert len(found(shipped, "first")) == len(found(shipped, "after")) == 1


def test_every_event_since_the_first_is_in_the_store(product, shipped):
    """After all kills and restarts; the API server's own log says which events there are."""
    [first] = found(shipped, "first")
    recorded = {
        (event["auditID"], event["stage"]): event["requestURI"]
        for event in product.events()
        if event.get("objectRef", {}).get("namespace") == SHOP and event["stageTimestamp"] >= first["stageTimestamp"]
    }
    assert len(recorded) > WRITES

    def missing():
        stored = {(event["auditID"], event["stage"]) for event in shipped.events(f'namespace:="{SHOP}"')}
        return {request for key, request in recorded.items() if key not in stored}

    product.eventually(lambda: not missing(), "all events of the namespace in the store", patience=30.0)


def test_a_changed_level_takes_effect_without_a_restart(product, shipped):
    """The API server records all namespaces alike, so that it has nothing new to learn; the shipper enforces levels."""
    product.kubectl("patch", "auditcontrolplane", PLANE, "--type=merge", "-p", '{"spec": {"precision": "Envelope"}}')
    product.kubectl("create", "namespace", "demanding")
    product.apply(policy("demanding"))
    what = ("auditpolicy", "demanding", "-n", "demanding")
    product.eventually(lambda: condition(product, "Programmed", *what)[0] == "True", "the envelope to be in force")
    product.eventually(lambda: level_of_next(product, shipped) == "Metadata", "the level that there was")
    started, collector = product.api_server_started(), shipper_pod(product)["metadata"]["uid"]
    began = time.monotonic()
    product.apply(policy(SHOP, "store"))
    product.eventually(lambda: level_of_next(product, shipped) == "Request", "the new level", pause=0.2)
    product.report(f"from apply of another level to the first event at that level: {time.monotonic() - began:.1f} s")
    assert (product.api_server_started(), shipper_pod(product)["metadata"]["uid"]) == (started, collector)


def test_a_new_sink_gets_records_without_a_restart(product, shipped):
    collector = shipper_pod(product)["metadata"]["uid"]
    began = time.monotonic()
    product.apply(shipped.sink("further", OTHER_ACCOUNT), policy(SHOP, "store", "further"))

    def arrived():
        limit(product, next(NAMES))
        return shipped.records(f'namespace:="{SHOP}" AND resource:="resourcequotas"', OTHER_ACCOUNT)

    product.eventually(arrived, "the first record in another sink", pause=0.2)
    product.report(f"from apply of a new sink to the first record in it: {time.monotonic() - began:.1f} s")
    assert shipper_pod(product)["metadata"]["uid"] == collector


NAMES = (f"limited-{number}" for number in itertools.count())
OTHER_ACCOUNT = 7


def policy(namespace, *sinks):
    """One that asks for the bodies of ResourceQuotas."""
    bodies = {"level": "Request", "resources": [{"group": "", "resources": ["resourcequotas"]}]}
    refs = [{"kind": "ClusterAuditSink", "name": each} for each in sinks]
    spec = {"preset": "Baseline", "rules": [bodies], "sinkRefs": refs}
    metadata = {"name": namespace, "namespace": namespace}
    return {"apiVersion": API, "kind": "AuditPolicy", "metadata": metadata, "spec": spec}


def limit(product, name):
    product.kubectl("-n", SHOP, "create", "quota", name, "--hard=pods=1000")


def level_of_next(product, store):
    """Of the event of a request that is made now, once it has arrived."""
    name = next(NAMES)
    limit(product, name)
    query = f'namespace:="{SHOP}" AND verb:="create" AND name:="{name}" AND stage:="ResponseComplete"'
    [event, *_] = product.eventually(lambda: store.events(query), "an event to arrive", pause=0.2)
    return event["level"]


@pytest.mark.usefixtures("shipped")
def test_a_shipper_is_root_without_any_capability_and_sees_no_processes_but_its_own(product):
    pod = shipper_pod(product)
    said = product.kubectl(
        "-n", AGENTS, "exec", pod["metadata"]["name"], "--", "/usr/bin/python3.11", "-I", "-c", LOOK_AROUND
    )
    seen = json.loads(said)
    assert seen["capabilities"] == "0000000000000000"
    assert seen["readable"] is True
    assert seen["writable"] == {"/": False, "/var/log/kubernetes/audit": False, STATE: True}
    assert seen["programs"] == ["otelcol", "python3.11"]


LOOK_AROUND = f"""
import json, os, pathlib
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
log = pathlib.Path("/var/log/kubernetes/audit/audit.log")
def writable(folder):
    try:
        pathlib.Path(folder, ".try").touch()
        pathlib.Path(folder, ".try").unlink()
    except OSError:
        return False
    return True
programs = {{pathlib.Path(each).resolve().name for each in pathlib.Path("/proc").glob("[0-9]*/exe")}}
print(json.dumps({{
    "capabilities": status["CapEff"],
    "readable": bool(log.open("rb").read(1)),
    "writable": {{folder: writable(folder) for folder in ("/", str(log.parent), "{STATE}")}},
    "programs": sorted(programs),
}}))
"""
