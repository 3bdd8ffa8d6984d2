"""What a board makes of a cluster that is away or refuses; tests/integration/test_board.py has the rest."""

from __future__ import annotations

import pytest

from audit_operator.api.observations import policy_digest
from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError
from audit_operator.controller.board import ClusterBoard, _age
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.static_pod.board import Turn, TurnLost
from audit_operator.controlplane.static_pod.instructions import Instructions
from audit_operator.controlplane.static_pod.report import NodeReport

NOT_FOUND = ApiError(404, "NotFound", "no such object")
CONFLICT = ApiError(409, "Conflict", "changed since")
HELD = Turn("cp-1", "7", {"metadata": {"name": "audit-rollout-main", "resourceVersion": "7"}})


class FailingClient:
    """Every request ends in this error."""

    def __init__(self, error):
        self.error = error

    def __getattr__(self, _method):
        async def fail(*_, **__):
            raise self.error

        return fail


def board(error):
    return ClusterBoard(FailingClient(error), "audit-operator", "test")


CALLS = {
    "instructions": lambda board: board.instructions(),
    "instruct": lambda board: board.instruct(Instructions(plane="main", nodes=())),
    "policy": lambda board: board.policy("a" * 64),
    "publish_policy": lambda board: board.publish_policy(policy_digest(""), ""),
    "forget_policies_except": lambda board: board.forget_policies_except(()),
    "reports": lambda board: board.reports(),
    "report": lambda board: board.report("cp-1", NodeReport()),
    "turn": lambda board: board.turn("main"),
    "take the first turn": lambda board: board.write_turn("main", Turn(), "cp-1"),
    "take a turn": lambda board: board.write_turn("main", HELD, "cp-1"),
    "nodes": lambda board: board.nodes({}),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    "error", [ApiUnreachableError("away"), ApiError(403, "Forbidden", "no"), ApiError(500, "", "")]
)
async def test_a_cluster_that_is_away_or_refuses_is_unavailable(call, error):
    with pytest.raises(BoardUnavailable, match=str(error)):
        await call(board(error))


@pytest.mark.parametrize("call", ["instructions", "reports", "nodes", "forget_policies_except"])
async def test_a_list_that_proves_nothing_is_no_list(call):
    with pytest.raises(BoardUnavailable):
        await CALLS[call](board(InconsistentListError("pages of two moments")))


async def test_what_is_not_there_is_an_answer():
    assert await board(NOT_FOUND).policy("a" * 64) == ""
    assert await board(NOT_FOUND).turn("main") == Turn()


@pytest.mark.parametrize("turn", [Turn(), HELD])
async def test_a_turn_that_somebody_else_has_written_is_lost(turn):
    with pytest.raises(TurnLost):
        await board(CONFLICT).write_turn("main", turn, "cp-1")


async def test_a_turn_whose_lease_was_deleted_meanwhile_is_not_taken():
    with pytest.raises(BoardUnavailable):
        await board(NOT_FOUND).write_turn("main", HELD, "cp-1")


def test_the_age_of_a_report_is_never_negative_and_unknown_is_none():
    assert _age("2026-01-01T00:00:00.000000Z") > 0
    assert _age("2999-01-01T00:00:00.000000Z") == 0
    assert _age(None) == _age("soon") == _age("2026-01-01T00:00:00") == 0
