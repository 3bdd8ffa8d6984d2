"""A Loki in this process, made from Loki's documentation: no Loki can be run here (docs/design/retention.md).

It understands no more LogQL than it is asked, refuses all else, and does what is documented and against whoever asks:
attributes are structured metadata unless they were made labels, questions have a longest time and a number of series,
deletions wait, hide what they are about, and remove it only in one of the modes.
"""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import yaml
from aiohttp import web

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VALUE = r'"(?:[^"\\]|\\.)*"'
_CONDITION = re.compile(rf"\s*(\w+)\s*(=~|!~|!=|=)\s*({_VALUE})\s*")
_SELECTOR = re.compile(rf"\{{((?:{_VALUE}|[^\"{{}}])*)\}}")
_COUNT = re.compile(r"sum(?: by \((\w+)\))? ?\(count_over_time\((.*) \[([0-9]+)s\]\)\)", re.DOTALL)
_MOST_SERIES = 500


@dataclass(frozen=True)
class Stored:
    time: datetime
    stream: dict
    metadata: dict
    text: str = "{}"

    @property
    def labels(self):
        return {**self.metadata, **self.stream}


@dataclass
class Deletion:
    number: str
    query: str
    start: datetime
    end: datetime
    created: datetime
    status: str = "received"


@dataclass
class FakeLoki:
    now: datetime
    url: str = ""
    tenant: str = "audit"
    labels: tuple = ("cluster", "namespace", "unseen")
    config: dict = field(default_factory=dict)
    overrides: dict = field(default_factory=dict)
    records: list = field(default_factory=list)
    deletions: list = field(default_factory=list)
    answers: dict = field(default_factory=dict)  # by method and path: (status, body) in place of what it would say
    asked: list = field(default_factory=list)  # method and path
    fails: str = "\0"  # questions that hold this are not answered
    numbers: int = 0

    def __post_init__(self):
        self.config = {
            "compactor": {"retention_enabled": True, "delete_request_store": "s3"},
            "runtime_config": {"period": "10s", "file": "/etc/loki/overrides.yaml"},
            "schema_config": {
                "configs": [{"from": "2026-08-01", "store": "tsdb", "index": {"prefix": "index_", "period": "1d"}}]
            },
            "limits_config": {
                "retention_period": "0s",
                "deletion_mode": "filter-and-delete",
                "max_query_length": "30d1h",
                "max_query_lookback": "0s",
            },
        }
        self.label(*self.labels)

    def label(self, *names):
        """Attributes that become labels of what is written from now on."""
        self.labels = names
        attributes = [{"action": "index_label", "attributes": [*names]}] if names else []
        self.config["limits_config"]["otlp_config"] = {"log_attributes": attributes}

    def limit(self, name):
        return self.overrides.get(name, self.config["limits_config"].get(name))

    def add(self, ages, **attributes):
        """One record for each age in days."""
        stream = {"service_name": "unknown_service"} | {
            each: attributes[each] for each in self.labels if each in attributes
        }
        metadata = {each: value for each, value in attributes.items() if each not in stream}
        for number, age in enumerate(ages):
            self.records.append(
                Stored(self.now - timedelta(days=age), stream, {**metadata, "auditID": f"{len(self.records)}-{number}"})
            )

    def compact(self):
        """What the compactor does in time: carries out deletions that have waited, and applies retention."""
        for each in self.deletions:
            if each.status == "received" and self.now - each.created >= timedelta(hours=24):
                if self.limit("deletion_mode") == "filter-and-delete":
                    self.records = [record for record in self.records if not _is_deleted(record, each)]
                each.status = "processed"
        if self.config["compactor"]["retention_enabled"]:
            self.records = [each for each in self.records if self._is_kept(each)]

    def _is_kept(self, record):
        listed = [*(self.overrides.get("retention_stream") or ())], self.config["limits_config"].get("retention_stream")
        for level in listed:
            for rule in sorted(level or (), key=lambda each: -each["priority"]):
                if matches(rule["selector"], record):
                    return self.now - record.time < hours(rule["period"])
        period = hours(self.limit("retention_period"))
        return not period or self.now - record.time < period

    def visible(self, query):
        for each in self.records:
            if matches(query, each) and not any(_is_deleted(each, deletion) for deletion in self.deletions):
                yield each

    async def handle(self, request):
        self.asked.append((request.method, request.path))
        if (request.method, request.path) in self.answers:
            status, body = self.answers[request.method, request.path]
            return web.Response(status=status, body=body)
        if request.headers.get("X-Scope-OrgID") != self.tenant:
            return web.Response(status=401, text="no org id")
        handlers = {
            ("GET", "/config"): lambda: web.Response(text=yaml.safe_dump(self.config)),
            ("GET", "/runtime_config"): lambda: web.Response(
                text=yaml.safe_dump({"overrides": {self.tenant: self.overrides}})
            ),
            ("GET", "/config/tenant/v1/limits"): lambda: web.Response(
                text=yaml.safe_dump(self.config["limits_config"] | self.overrides)
            ),
            ("GET", "/loki/api/v1/delete"): self._list,
            ("POST", "/loki/api/v1/delete"): lambda: self._order(request.query),
            ("DELETE", "/loki/api/v1/delete"): lambda: self._cancel(request.query),
        }
        if (request.method, request.path) in handlers:
            return handlers[request.method, request.path]()
        form = await request.post()
        if self.fails in form["query"]:
            return web.Response(status=503)
        try:
            result = {"/loki/api/v1/query": self._query, "/loki/api/v1/query_range": self._range}[request.path](form)
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        return web.json_response({"status": "success", "data": result})

    def _list(self):
        return web.json_response(
            [
                {
                    "request_id": each.number,
                    "start_time": _seconds(each.start),
                    "end_time": _seconds(each.end),
                    "query": each.query,
                    "status": each.status,
                    "created_at": _seconds(each.created),
                }
                for each in self.deletions
            ]
        )

    def _order(self, query):
        if self.limit("deletion_mode") not in {"filter-only", "filter-and-delete"}:
            return web.Response(status=403, text="deletion is not available for this tenant")
        start, end = (EPOCH + timedelta(seconds=int(query[each])) for each in ("start", "end"))
        if end > self.now or not _SELECTOR.fullmatch(query["query"]):
            return web.Response(status=400)
        self.numbers += 1
        self.deletions.append(Deletion(f"{self.numbers:08x}", query["query"], start, end, self.now))
        return web.Response(status=204)

    def _cancel(self, query):
        left = [each for each in self.deletions if each.number != query["request_id"] or each.status == "processed"]
        if len(left) == len(self.deletions):
            return web.Response(status=404)
        self.deletions = left
        return web.Response(status=204)

    def _window(self, begin, end):
        if end - begin > hours(self.limit("max_query_length")):
            raise ValueError("the query time range exceeds the limit")
        lookback = hours(self.limit("max_query_lookback"))
        return (max(begin, self.now - lookback), end) if lookback else (begin, end)

    def _query(self, form):
        time = _nanoseconds(form["time"]) if "time" in form else self.now
        if form["query"] == "vector(1)":
            return _vector({"": 1}, "", time)
        read = _COUNT.fullmatch(form["query"])
        if read is None:
            raise ValueError(form["query"])
        begin, end = self._window(time - timedelta(seconds=int(read[3])), time)
        counts = {}
        for each in self.visible(read[2]):
            if begin < each.time <= end:
                key = each.labels.get(read[1] or "", "")
                counts[key] = counts.get(key, 0) + 1
        if len(counts) > _MOST_SERIES:
            raise ValueError("maximum of series reached for a single query")
        return _vector(counts, read[1], time)

    def _range(self, form):
        begin, end = self._window(_nanoseconds(form["start"]), _nanoseconds(form["end"]))
        found = sorted(
            (each for each in self.visible(form["query"]) if begin <= each.time < end), key=lambda each: each.time
        )
        found = found[: int(form["limit"])] if form["direction"] == "forward" else found[::-1][: int(form["limit"])]
        streams = [{"stream": each.labels, "values": [[_written(each.time), each.text]]} for each in found]
        return {"resultType": "streams", "result": streams}


def matches(query, record):
    """A selector, of labels of streams alone, and label filters behind it, of which any alternative may hold."""
    selector = _SELECTOR.match(query.strip())
    if selector is None:
        raise ValueError(query)
    rest = query.strip()[selector.end() :]
    conditions = _CONDITION.findall(selector[1])
    if not any(_holds(each, {}) is False for each in conditions):
        raise ValueError("queries require at least one matcher that does not match everything")
    if not all(_holds(each, record.stream) for each in conditions):
        return False
    for stage in rest.split("|")[1:]:
        alternatives = [_CONDITION.fullmatch(each) for each in re.split(r'(?<=")\s+or\s+', stage)]
        if None in alternatives:
            raise ValueError(stage)
        if not any(_holds(each.groups(), record.labels) for each in alternatives):
            return False
    return True


def hours(duration):
    """A duration as Loki writes it."""
    units = {"y": 8760, "w": 168, "d": 24, "h": 1, "m": 1 / 60, "s": 1 / 3600}
    return timedelta(hours=sum(int(number) * units[unit] for number, unit in re.findall(r"([0-9]+)([a-z])", duration)))


@asynccontextmanager
async def fake_loki(now):
    """Serve on a free loopback port."""
    store = FakeLoki(now)
    app = web.Application(client_max_size=2**20)
    app.router.add_route("*", "/{path:.*}", store.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    store.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    try:
        yield store
    finally:
        await runner.cleanup()


def _holds(condition, labels):
    label, operator, literal = condition
    value, wanted = labels.get(label, ""), json.loads(literal)
    if operator in {"=", "!="}:
        return (value == wanted) is (operator == "=")
    pattern = re.sub(r"\\x\{([0-9a-f]+)\}", lambda each: re.escape(chr(int(each[1], 16))), wanted)
    return (re.fullmatch(pattern, value, re.DOTALL) is not None) is (operator == "=~")


def _is_deleted(record, deletion):
    return deletion.start <= record.time <= deletion.end and matches(deletion.query, record)


def _vector(counts, label, time):
    result = [
        {"metric": {label: key} if label else {}, "value": [_seconds(time), str(count)]}
        for key, count in counts.items()
    ]
    return {"resultType": "vector", "result": result}


def _seconds(moment):
    return (moment - EPOCH) / timedelta(seconds=1)


def _written(moment):
    return str((moment - EPOCH) // timedelta(microseconds=1) * 1000)


def _nanoseconds(text):
    return EPOCH + timedelta(microseconds=int(text) // 1000)
