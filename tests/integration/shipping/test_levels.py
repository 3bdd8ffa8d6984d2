"""The collector decides as the API server's own evaluator does."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.attributes import request_from_event
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.evaluate import evaluate
from audit_operator.policy.json_lines import request_from_json
from audit_operator.policy.loading import load_policy
from audit_operator.policy.model import Policy, Request, Rule, User
from audit_operator.shipping.collector import reading
from audit_operator.shipping.collector.ottl import assign, attribute, concat, text
from audit_operator.shipping.enforcement.classes import Classes, EnforcementClass, Treatment, classify
from audit_operator.shipping.enforcement.table import URL_KEY, build, decide, namespace_key
from audit_operator.shipping.exporters import Exporter
from tests.integration.shipping.audit_events import event_of, line_of
from tests.integration.shipping.collector import complaints, ship
from tests.policy.conformance import read_lines, text_of

ALL = Level.REQUEST_RESPONSE
CLUSTER_SCOPE = "cluster-scope"
PATHS = ["/", "/healthz", "/healthz/etcd", "/api", "/apis/apps", "/livez", "/metrics", "/x"]


def cases():
    """Policies with their requests and what the API server's evaluator says of each."""
    for number, case in enumerate(read_lines("oracle_cases.jsonl.gz")):
        policy = load_policy(text_of(case)).policy
        if policy is not None:
            labels = [tuple(result) for result in case["results"]]
            yield number, policy, list(zip(map(request_from_json, case["requests"]), labels, strict=True))


def classes_of(policy, requests):
    namespaces = {request.namespace for request in requests}
    namespaces |= {name for rule in policy.rules for name in rule.namespaces}
    known = frozenset(namespaces - {""})
    return classify([Contribution(Reach(known, cluster=True, non_resource=True), policy)], known)


def together(everything):
    """One table for all policies: each namespace stands once for each policy."""
    classes = [
        replace(each, namespaces=tuple(renamed(number, name) for name in each.namespaces))
        for number, policy, requests in everything
        for each in classes_of(policy, [request for request, _ in requests]).classes
    ]
    return build(Classes(tuple(classes), EnforcementClass((), None)))


def renamed(number, namespace):
    return f"p{number}-{namespace or CLUSTER_SCOPE}"


def events_of(number, requests):
    """Events of all stages that the API server could write, with what is expected of each."""
    for index, (request, (level, omitted, managed_fields)) in enumerate(requests):
        for stage in Stage:
            event = event_of(request, stage, ALL, f"{number}/{index}")
            if event is not None:
                wanted = ("None", False) if level == "None" or stage in omitted else (level, managed_fields)
                yield event, wanted


def found_in(record):
    """Level, and whether managed fields were omitted, of a record that was shipped."""
    event = json.loads(record.body)
    bodies = [event[field] for field in ("requestObject", "responseObject") if field in event]
    assert len(bodies) == {"Metadata": 0, "Request": 1, "RequestResponse": 2}[event["level"]]
    assert record.attributes["level"] == event["level"]
    assert all(each["spec"] == {"big": 2**53} for each in bodies)
    return event["level"], bool(bodies) and not any("managedFields" in each["metadata"] for each in bodies)


def shipped(table, events, tmp_path, **options):
    """What comes out of the collector, by audit id and stage."""
    run = ship(table, map(line_of, events), tmp_path, **options)
    assert not complaints(run.log)
    return {(json.loads(each.body)["auditID"], each.attributes["stage"]): each for each in run.records}


def assert_as_labelled(events, found):
    """Each event at the level that the API server's evaluator says, or not at all."""
    for event, (level, managed_fields) in events:
        record = found.get((event["auditID"], event["stage"]))
        wanted = (level, managed_fields and level != "Metadata")
        assert (found_in(record) if record else ("None", False)) == wanted, event


def test_every_resource_request_gets_the_level_that_the_api_servers_evaluator_gives_it(tmp_path):
    everything = [
        (number, policy, [each for each in requests if each[0].resource_request])
        for number, policy, requests in cases()
    ]
    table = together(everything)
    events = [
        each
        for number, _, requests in everything
        for each in events_of(
            number,
            [(replace(request, namespace=renamed(number, request.namespace)), label) for request, label in requests],
        )
    ]
    assert len(events) > 6900  # the others are requests that no path leads to
    assert_as_labelled(events, shipped(table, [event for event, _ in events], tmp_path))


def test_every_non_resource_request_gets_the_level_that_the_api_servers_evaluator_gives_it(tmp_path):
    """In a table only one list is about these. So those of all policies stand where namespaces do, and an event's id
    says in which it is looked up; that is all that is changed."""
    everything = [
        (number, policy, [each for each in requests if not each[0].resource_request])
        for number, policy, requests in cases()
    ]
    table = of_paths(everything)
    events = [each for number, _, requests in everything for each in events_of(number, requests)]
    assert len({event["auditID"] for event, _ in events}) > 750  # the others are requests that no path leads to

    def by_policy(config):
        first = assign(attribute(reading.FIRST), text(URL_KEY), "")
        asked = assign(attribute(reading.FIRST), concat(text(namespace_key("p")), 'Split(log.body["auditID"], "/")[0]'))
        read = json.dumps(config["processors"]["transform/read"])
        changed = read.replace(json.dumps(first)[1:-1], json.dumps(asked)[1:-1])
        assert changed != read
        return {**config, "processors": {**config["processors"], "transform/read": json.loads(changed)}}

    assert_as_labelled(events, shipped(table, [event for event, _ in events], tmp_path, change=by_policy))


def of_paths(everything):
    """The lists about non-resource requests of all policies, each as if it were that of a namespace."""
    lists = [(number, classes_of(policy, []).non_resource) for number, policy, _ in everything]
    patterns_of_all = tuple(cell for _, each in lists for cell in each.cells or ())
    classes = tuple(replace(each, namespaces=(f"p{number}",)) for number, each in lists)
    return build(Classes(classes, EnforcementClass((), patterns_of_all)))


@pytest.mark.parametrize("part", range(2))
def test_non_resource_requests_are_found_under_their_own_key(tmp_path, part):
    """With nothing changed, for the policies with the most patterns."""
    chosen = sorted(cases(), key=patterns, reverse=True)[part]
    number, policy, requests = chosen
    table = build(classes_of(policy, [request for request, _ in requests]))
    events = list(events_of(number, [each for each in requests if not each[0].resource_request]))
    more = [(request, labelled(policy, request)) for request in map(url, PATHS)]
    events += events_of(f"{number}+", more)
    assert_as_labelled(events, shipped(table, [event for event, _ in events], tmp_path))


def url(path):
    return Request(User("somebody"), "get", resource_request=False, path=path)


def labelled(policy, request):
    decision = evaluate(policy, request)
    return str(decision.level), decision.omit_stages, decision.omit_managed_fields


def patterns(case):
    number, policy, _ = case
    return len({url for rule in policy.rules for url in rule.non_resource_urls}), -number


def test_a_record_names_the_policies_that_ask_for_it(tmp_path):
    everywhere = Contribution(Reach(frozenset({"shop"})), Policy((Rule(Level.METADATA),)))
    table = build(classify([everywhere], ["shop"], {"shop": Treatment(policies="baseline,shop/pci")}))
    request = Request(User("jane"), "get", resource_request=True, resource="pods", name="a", namespace="shop")
    events = [event_of(request, Stage.RESPONSE_COMPLETE, ALL, "1")]
    events.append(event_of(replace(request, namespace="unseen"), Stage.RESPONSE_COMPLETE, ALL, "2"))
    named = {key[0]: each.attributes.get("policies") for key, each in shipped(table, events, tmp_path).items()}
    assert named == {"1": "baseline,shop/pci", "2": None}


def test_what_a_body_says_moves_no_event_to_another_namespace(tmp_path):
    """A sender writes a namespace into a cluster-scoped object; the API server shows it in objectRef, and drops it."""
    quiet = Contribution(Reach(frozenset({"quiet"})), Policy((Rule(Level.NONE),)))
    everywhere = Contribution(Reach(cluster=True), Policy((Rule(Level.METADATA),)))
    table = build(classify([quiet, everywhere], ["quiet"]))
    binding = Request(
        User("eve"),
        "create",
        resource_request=True,
        api_group="rbac.authorization.k8s.io",
        resource="clusterrolebindings",
    )
    event = event_of(binding, Stage.RESPONSE_COMPLETE, ALL, "moved")
    event["objectRef"]["namespace"] = "quiet"
    assert [found_in(each)[0] for each in shipped(table, [event], tmp_path).values()] == ["Metadata"]


WEIRD_PATHS = [
    "/api/v1/namespaces/%71uiet/secrets/a",
    "/api/v1/namespaces/qui%65t/secrets/a",
    "/api/v1/%6eamespaces/quiet/secrets/a",
    "/api/v1/namespaces/quiet/secrets/%61",
    "/api/v1/namespaces/quiet/secrets/%ff",
    "/api/v1/namespaces/quiet%2Fsecrets/a",
    "/api/v1/namespaces/quiet%252F/secrets/a",
    "/api/v1/namespaces/loud/secrets/a%2F..%2F..%2Fquiet",
    "//api/v1/namespaces/quiet/secrets/a",
    "/api/v1/namespaces/quiet/secrets/a/",
    "/api/v1/namespaces//quiet/secrets/a",
    "/api//namespaces/quiet/secrets/a",
    "/apis//v1/namespaces/quiet/secrets/a",
    "/api/v1/watch/namespaces/quiet/secrets",
    "/api/v1/proxy/namespaces/quiet/pods/a",
    "/api/v1/namespaces/quiet",
    "/api/v1/namespaces/quiet/status",
    "/api/v1/namespaces/quiet/finalize",
    "/api/v1/namespaces",
    "/api/v1/secrets?fieldSelector=metadata.namespace%3Dquiet",
    "/api/v1/nodes/namespaces/quiet/secrets",
    "/api/v1/nodes?x=/api/v1/namespaces/quiet/secrets",
    "/apis/apps/v1/namespaces/quiet/deployments/a",
    "/apis/namespaces/quiet/secrets/a",
    "/api/namespaces/quiet/secrets/a",
    "/healthz%2f",
    "/%68ealthz",
    "/healthz/%3Fx",
    "/api/v1",
    "/",
]


def test_an_event_is_decided_by_its_path_however_that_is_spelled(tmp_path):
    """As the API server reads it: nothing that a sender writes moves it elsewhere."""
    quiet = Contribution(Reach(frozenset({"quiet"})), Policy((Rule(Level.NONE),)))
    loud = Contribution(Reach(frozenset({"loud"})), Policy((Rule(Level.REQUEST),)))
    urls = Policy((Rule(Level.METADATA, non_resource_urls=("/healthz*",)),))
    rest = Contribution(Reach(cluster=True), Policy((Rule(Level.REQUEST_RESPONSE),)))
    table = build(classify([quiet, loud, rest, Contribution(Reach(non_resource=True), urls)], ["quiet", "loud"]))
    some = Request(User("eve"), "get", resource_request=True, resource="secrets", name="a")
    events, wanted = [], {}
    for number, path in enumerate(WEIRD_PATHS):
        event = {**event_of(some, Stage.RESPONSE_COMPLETE, ALL, str(number)), "requestURI": path}
        seen = request_from_event(event)
        assert isinstance(seen, Request), path
        if seen.resource_request:
            event["objectRef"]["resource"] = seen.resource
        else:
            del event["objectRef"]
        events.append(event)
        wanted[str(number)] = decide(table, seen, Stage.RESPONSE_COMPLETE).get("level", "RequestResponse")
    found = {audit_id: found_in(record)[0] for (audit_id, _), record in shipped(table, events, tmp_path).items()}
    assert {each: level for each, level in wanted.items() if level != "None"} == found
    assert set(wanted.values()) == {"None", "Metadata", "Request", "RequestResponse"}


def test_a_user_may_be_called_what_a_shipper_makes_of_none(tmp_path):
    odd = Policy((Rule(Level.NONE, users=("<nil>",)), Rule(Level.METADATA)))
    table = build(classify([Contribution(Reach(frozenset({"a"})), odd)], ["a"]))
    requests = [Request(user, "get", True, "", "v1", "a", "pods", "", "x") for user in (None, User("<nil>"))]
    events = [event_of(each, Stage.RESPONSE_STARTED, ALL, str(number)) for number, each in enumerate(requests)]
    assert {audit_id for audit_id, _ in shipped(table, events, tmp_path)} == {"0"}


def test_an_event_of_a_namespace_that_nobody_has_seen_stays_as_it_was_recorded(tmp_path):
    """It does not name its namespace as others do: stores keep a stream for each, and a request can name any."""
    request = Request(User("eve"), "get", resource_request=True, namespace="new", resource="pods", name="a")
    event = event_of(request, Stage.RESPONSE_COMPLETE, ALL, "new")
    (record,) = shipped(build(classify([], ["seen"])), [event], tmp_path).values()
    assert found_in(record)[0] == "RequestResponse"
    assert (record.attributes["unseen"], record.attributes.get("namespace")) == ("new", None)


def test_an_event_that_no_sink_would_take_loses_its_bodies_and_says_so(tmp_path):
    everywhere = Contribution(Reach(frozenset({"a"})), Policy((Rule(Level.REQUEST_RESPONSE),)))
    table = build(classify([everywhere], ["a"]))
    request = Request(User("eve"), "get", resource_request=True, namespace="a", resource="pods", name="a")
    fitting, large, huge = (
        event_of(replace(request, name=name), Stage.RESPONSE_COMPLETE, ALL, name) for name in ("fits", "large", "huge")
    )
    large["responseObject"] = {"data": "x" * 3000}
    huge["userAgent"] = "y" * 3000
    run = ship(
        table,
        map(line_of, (fitting, large, huge)),
        tmp_path,
        exporters=(Exporter("file", {}, detached=False, largest=2000),),
    )
    bodies = {each.attributes["auditID"]: each for each in run.records}
    assert json.loads(bodies["fits"].body) == fitting
    assert bodies["large"].attributes["cut"] == len(line_of(large))
    assert {"requestObject", "responseObject"}.isdisjoint(json.loads(bodies["large"].body))
    assert (bodies["huge"].attributes["cut"], len(bodies["huge"].body)) == (len(line_of(huge)), 2000)
    assert bodies["huge"].attributes["namespace"] == "a"


def test_no_attribute_is_longer_than_a_store_can_index(tmp_path):
    everywhere = Contribution(Reach(frozenset({"a"})), Policy((Rule(Level.METADATA),)))
    request = Request(User("e" * 5000), "get", resource_request=True, namespace="a", resource="pods", name="n" * 5000)
    event = event_of(request, Stage.RESPONSE_COMPLETE, ALL, "long")
    (record,) = shipped(build(classify([everywhere], ["a"])), [event], tmp_path).values()
    assert {len(record.attributes[name]) for name in ("username", "name")} == {1024}
    assert json.loads(record.body)["user"]["username"] == "e" * 5000


def test_an_event_that_was_recorded_below_its_level_says_so(tmp_path):
    everywhere = Contribution(Reach(frozenset({"a"})), Policy((Rule(Level.REQUEST),)))
    request = Request(User("eve"), "get", resource_request=True, namespace="a", resource="pods", name="a")
    event = event_of(request, Stage.RESPONSE_COMPLETE, Level.METADATA, "below")
    (record,) = shipped(build(classify([everywhere], ["a"])), [event], tmp_path).values()
    assert (record.attributes["below"], record.attributes["level"]) == ("Request", "Metadata")


def test_a_line_full_of_escapes_holds_up_nothing(tmp_path):
    """A parser whose time grows with the square of them would take minutes for this one, longer than is waited for."""
    table = build(classify([Contribution(Reach(frozenset({"a"})), Policy((Rule(Level.METADATA),)))], ["a"]))
    request = Request(User("eve"), "create", True, "", "v1", "a", "pods", "", "")
    event = event_of(request, Stage.RESPONSE_COMPLETE, ALL, "quotes")
    event["requestObject"] = {"spec": {"big": 2**53}, "metadata": {}, "data": '"' * 3_500_000}
    run = ship(table, [line_of(event)], tmp_path)
    assert [json.loads(each.body)["level"] for each in run.records] == ["Metadata"]


HALF = (
    b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"half","stage":"ResponseComplete",'
    b'"requestURI":"/api/v1/namespaces/a/secrets'
)


@pytest.mark.parametrize(
    ("line", "reason", "kept"),
    [
        (b"not JSON", "no JSON object", b""),
        (b'cret"}}}', "no JSON object", b""),
        (b"[]", "no JSON object", b""),
        (b'"text"', "no JSON object", b""),
        (b"{}", "no audit.k8s.io/v1 Event", b""),
        (b'{"kind":"Event","apiVersion":"audit.k8s.io/v1"}', "no user", b""),
        (b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","user":{},"level":"Metadata"}', "no auditID", b""),
        (b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","user":{},"level":7}', "no level", b""),
        (HALF, "no JSON object", HALF),
        (HALF + b'?token=s3cret","verb":"create"', "no JSON object", HALF),
        (HALF + b'","requestObject":{"data":{"a":"s3cret', "no JSON object", HALF + b'",'),
    ],
)
def test_a_line_that_is_no_event_says_why_and_shows_nothing_that_may_be_secret(tmp_path, line, reason, kept):
    good = event_of(url("/healthz"), Stage.RESPONSE_COMPLETE, Level.METADATA, "good")
    run = ship(build(classify([], [])), [line, line_of(good)], tmp_path)
    said = kept.decode() + f"[REDACTED: {len(line)} bytes]"
    assert [(each.body, each.attributes["quarantine"]) for each in run.records] == [(said, reason)]
