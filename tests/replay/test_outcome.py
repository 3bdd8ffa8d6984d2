from __future__ import annotations

from hypothesis import given, settings

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.model import GroupResources, Policy, Rule
from audit_operator.replay.outcome import as_recorded, losses, replay, talkers
from tests.examples import examples
from tests.policy.strategies import policies
from tests.replay.logs import counted, event, line
from tests.replay.test_cells import logs

BODY = {"kind": "Secret", "data": {"a": "b" * 100}}
WRITE = event(
    "create", "/api/v1/namespaces/web/secrets", requestObject=BODY, responseObject=BODY, level="RequestResponse"
)
READ = event()
METADATA = Policy((Rule(Level.METADATA),))


def test_bytes_are_those_without_the_bodies_that_a_level_leaves_out():
    cells = counted([WRITE], METADATA)
    sizes = [replay(cells, Policy((Rule(each),))).total.size for each in Level if each is not Level.NONE]
    body = len(line(BODY).strip()) + len(',"requestObject":')
    assert sizes[2] == len(line(WRITE))
    assert sizes == [sizes[2] - 2 * body - 1, sizes[2] - body - 1, sizes[2]]


def test_what_the_log_has_not_is_counted_as_richer_and_not_made_up():
    cells = counted([READ], METADATA)
    outcome = replay(cells, Policy((Rule(Level.REQUEST_RESPONSE),)))
    assert (outcome.richer, outcome.total.size) == (1, len(line(READ)))


def test_an_omitted_stage_is_missed_and_a_lower_level_is_lower():
    policy = Policy(
        (
            Rule(Level.METADATA, resources=(GroupResources("", ("secrets",)),)),
            Rule(Level.METADATA, omit_stages=frozenset({Stage.RESPONSE_COMPLETE})),
        )
    )
    cells = counted([WRITE, READ, READ], policy)
    outcome = replay(cells, policy)
    lost = losses(cells, as_recorded(cells).records, outcome.records)
    assert [(each.cell.place.resource, each.events, each.before, each.after) for each in lost] == [
        ("pods", 2, Level.METADATA, None),
        ("secrets", 1, Level.REQUEST_RESPONSE, Level.METADATA),
    ]


def test_who_says_most_is_told_by_bytes():
    cells = counted([READ, READ, {**WRITE, "user": {"username": "bob"}}], METADATA)
    said = talkers(cells, as_recorded(cells).records, lambda cell: cell.user or "", 1)
    assert [(who, amount.events) for who, amount in said] == [("bob", 1)]


@settings(max_examples=examples(50))
@given(logs, policies())
def test_parts_of_an_outcome_add_up_and_nothing_is_lost_to_itself(events, policy):
    cells = counted(events, policy)
    outcome = replay(cells, policy)
    for parts in (outcome.by_rule, outcome.by_namespace):
        assert sum(each.events for each in parts.values()) == outcome.total.events
        assert sum(each.size for each in parts.values()) == outcome.total.size
    assert losses(cells, outcome.records, outcome.records) == ()
    assert outcome.total.size <= as_recorded(cells).total.size
