"""EventLists as API servers write them."""

from __future__ import annotations

HEAD = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":['
TAIL = b"]}\n"


def list_of(*items):
    """A list with these texts as its items."""
    return HEAD + b",".join(items) + TAIL


def event(number=0, **more):
    """The text of one event as an item of a list, which names no type."""
    text = f'{{"level":"Metadata","auditID":"id-{number}","stage":"ResponseComplete","requestURI":"/api/v1/pods"'
    text += ',"verb":"list","user":{"username":"alice"},"stageTimestamp":"2026-11-28T07:00:00.010000Z"'
    return (text + "".join(f',"{key}":{value}' for key, value in more.items()) + "}").encode()
