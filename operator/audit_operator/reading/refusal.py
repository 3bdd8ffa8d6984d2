"""Why a request is not answered: a status, a reason of a fixed set, and words that quote nothing of the caller's."""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus


class Why(StrEnum):
    """Reasons of refusals."""

    BAD_REQUEST = "BadRequest"
    UNAUTHENTICATED = "Unauthenticated"
    FORBIDDEN = "Forbidden"
    NOT_FOUND = "NotFound"
    NOT_ALLOWED = "MethodNotAllowed"
    TOO_MANY_REQUESTS = "TooManyRequests"
    UNAVAILABLE = "Unavailable"
    STORE_FAILED = "StoreFailed"
    TIMED_OUT = "TimedOut"
    INTERNAL = "InternalError"


_STATUS = {
    Why.BAD_REQUEST: HTTPStatus.BAD_REQUEST,
    Why.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Why.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Why.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Why.NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    Why.TOO_MANY_REQUESTS: HTTPStatus.TOO_MANY_REQUESTS,
    Why.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Why.STORE_FAILED: HTTPStatus.BAD_GATEWAY,
    Why.TIMED_OUT: HTTPStatus.GATEWAY_TIMEOUT,
    Why.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}


class Refused(Exception):  # noqa: N818  # a state of the request
    """The request is not answered."""

    def __init__(self, why: Why, message: str) -> None:
        """Made anew each time: one that is raised twice would keep what both were raised in."""
        super().__init__(message)
        self.why, self.message = why, message

    @property
    def status(self) -> HTTPStatus:
        """Of the answer."""
        return _STATUS[self.why]


def forbidden() -> Refused:
    """The same for a namespace that does not exist: who may not read it is not told."""
    return Refused(Why.FORBIDDEN, "you may not read the records of all of these namespaces, or not all of them exist")


def internal() -> Refused:
    """Ours; what it was is in the log alone."""
    return Refused(Why.INTERNAL, "the reader failed; its log says how")
