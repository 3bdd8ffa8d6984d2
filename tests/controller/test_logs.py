"""What is in the log, and what is not."""

import io
import json
import logging

from aiohttp.http_exceptions import BadStatusLine

from audit_operator.controller.logs import JsonFormatter, without_requests


def logged(error, extra=None):
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(JsonFormatter())
    handler.addFilter(without_requests)
    logger = logging.getLogger("aiohttp.server")
    logger.addHandler(handler)
    try:
        logger.error("Error handling request from %s", "127.0.0.1", exc_info=error, extra=extra)
    finally:
        logger.removeHandler(handler)
    return handler.stream.getvalue()


def test_a_request_that_cannot_be_parsed_does_not_show_its_token():
    assert "eyToken" not in logged(BadStatusLine("GET / Authorization: Bearer eyToken"))


def test_a_defect_shows_where_it_is():
    assert "ValueError: a defect" in logged(ValueError("a defect"))


def test_who_has_read_what_are_fields():
    line = json.loads(logged(None, {"user": "jane\n", "object": "a,b", "records": 0, "since": "x", "until": "y"}))
    assert [line[name] for name in ("user", "object", "records", "since", "until")] == ["jane\n", "a,b", "0", "x", "y"]
