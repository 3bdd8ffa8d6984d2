"""Logs for tests, and what a policy makes of them when it is asked about each event on its own."""

from __future__ import annotations

import json
from collections import Counter

from audit_operator.api.audit import Level
from audit_operator.policy.attributes import request_from_event
from audit_operator.policy.evaluate import evaluate
from audit_operator.policy.model import Request
from audit_operator.replay.cells import Cells
from audit_operator.replay.vocabulary import vocabulary_of


def event(verb="get", uri="/api/v1/namespaces/web/pods/x", user="alice", groups=("dev",), **more):
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": "1",
        "stage": "ResponseComplete",
        "requestURI": uri,
        "verb": verb,
        "user": {"username": user, "groups": list(groups)} if user is not None else {},
        "stageTimestamp": "2026-11-28T07:00:00.000001Z",
        **more,
    }


def line(event):
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


def counted(events, *policies):
    cells = Cells(vocabulary_of(policies))
    for each in events:
        cells.add(line(each))
    return cells


def one_by_one(events, policy):
    """Events recorded by rule and level, by the definition."""
    found = Counter()
    for each in events:
        request = request_from_event(each)
        assert isinstance(request, Request)
        decision = evaluate(policy, request)
        if decision.level is not Level.NONE and each["stage"] not in decision.omit_stages:
            found[decision.rule, decision.level] += 1
    return found
