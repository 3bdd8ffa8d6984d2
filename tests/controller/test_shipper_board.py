"""What a board makes of a cluster that is away or refuses; tests/integration/test_shipper_board.py has the rest."""

from __future__ import annotations

import pytest

from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError
from audit_operator.controller.shipper_board import ClusterShipperBoard, _decoded, _time
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.shipper.report import ShipperReport
from tests.controller.test_board import NOT_FOUND, FailingClient

CALLS = {
    "revision": lambda board: board.revision("main"),
    "told": lambda board: board.told("main"),
    "tell": lambda board: board.tell("main", "uid", b"x", "ab"),
    "keyring_revision": lambda board: board.keyring_revision("main"),
    "keyring": lambda board: board.keyring("main"),
    "keep_keyring": lambda board: board.keep_keyring("main", b"x", "7"),
    "make_keyring": lambda board: board.keep_keyring("main", b"x", ""),
    "reports": lambda board: board.reports(),
    "report": lambda board: board.report("cp-1", ShipperReport(plane="main")),
    "nodes": lambda board: board.nodes("role=cp"),
}


def board(error):
    return ClusterShipperBoard(FailingClient(error), "audit-operator", "test")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    "error", [ApiUnreachableError("away"), ApiError(403, "Forbidden", "no"), ApiError(500, "", "")]
)
async def test_a_cluster_that_is_away_or_refuses_is_unavailable(call, error):
    with pytest.raises(BoardUnavailable, match=str(error)):
        await call(board(error))


@pytest.mark.parametrize("call", ["reports", "nodes"])
async def test_a_list_that_proves_nothing_is_no_list(call):
    with pytest.raises(BoardUnavailable):
        await CALLS[call](board(InconsistentListError("pages of two moments")))


async def test_what_is_not_there_is_an_answer():
    assert await board(NOT_FOUND).revision("main") == ""
    assert await board(NOT_FOUND).told("main") is None
    assert await board(NOT_FOUND).keyring_revision("main") == ""
    assert await board(NOT_FOUND).keyring("main") is None


def test_what_somebody_else_has_written_is_as_good_as_nothing():
    assert _decoded("not base64!") == b""
    assert _time(None) is None
    assert _time("soon") is None
    assert _time("2026-01-01T00:00:00.000000Z").year == 2026
