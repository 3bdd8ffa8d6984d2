"""How long it takes from a request to Alertmanager, and whether ordinary traffic gets there."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.controlplane.assets import provide
from tests.integration.alerting import ATTACKS, USERS, Cluster, alerting, ordinary_traffic, seconds_until_told
from tests.integration.control_plane import RunningControlPlane

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTES = 3.0
SCRAPES = ("15s", "30s")


def run() -> Iterator[str]:
    yield "Seconds from the last request that it takes until Alertmanager shows it. Rules are evaluated every 30 s."
    yield ""
    yield f"| scraped every | {' | '.join(each.detection for each in ATTACKS)} |"
    yield f"|---|{'---|' * len(ATTACKS)}"
    traffic = []
    for scrape in SCRAPES:
        plane = RunningControlPlane(provide(), users=USERS)
        with (
            tempfile.TemporaryDirectory() as folder,
            plane.plane,
            alerting(plane, Path(folder), scrape=scrape) as cluster,
        ):
            cluster.until_it_ships()
            cluster.take_rules()
            with ordinary_traffic(cluster):
                traffic.append(_ordinary(cluster, MINUTES))
                took = [seconds_until_told(cluster, each) for each in ATTACKS]
        yield f"| {scrape} | {' | '.join(f'{each:.0f}' for each in took)} |"
    yield ""
    yield from traffic


def hour() -> Iterator[str]:
    """An hour of ordinary traffic, once nothing fires any more of how everything was set up."""
    plane = RunningControlPlane(provide(), users=USERS)
    with tempfile.TemporaryDirectory() as folder, plane.plane, alerting(plane, Path(folder), scrape="15s") as cluster:
        cluster.until_it_ships()
        cluster.take_rules()
        with ordinary_traffic(cluster):
            began = time.monotonic()
            time.sleep(60)
            while cluster.told():
                time.sleep(10)
            yield f"{(time.monotonic() - began) / 60:.0f} minutes until nothing fires of the start."
            yield _ordinary(cluster, 60)


def _ordinary(cluster: Cluster, minutes: float) -> str:
    """What ordinary traffic is, and what has fired in these minutes, though it may have ended."""
    since, began = cluster.control_plane.audit_position(), time.monotonic()
    time.sleep(minutes * 60)
    events = cluster.control_plane.audit_events(since=since)
    codes = Counter(
        (each["user"].get("username", ""), each["responseStatus"]["code"])
        for each in events
        if "responseStatus" in each
    )
    for (user, code), count in codes.most_common():
        print(f"{count:6} {code} {user}", file=sys.stderr)
    ended = sum(each["stage"] == "ResponseComplete" for each in events)
    within = f"{time.monotonic() - began:.0f}s"
    fired = cluster.prometheus.query(f'count_over_time(ALERTS{{alertstate="firing"}}[{within}])')
    told = sorted({str({key: each["metric"][key] for key in sorted(each["metric"])}) for each in fired})
    return f"{minutes:.0f} minutes of ordinary traffic, {ended:,} requests; told of: {'; '.join(told) or 'nothing'}."
