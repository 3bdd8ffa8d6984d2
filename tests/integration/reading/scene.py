"""Mallory, a tenant who may read one namespace, and what is another's: for attacks on a reader before any store."""

from __future__ import annotations

import time
from contextlib import contextmanager
from types import SimpleNamespace
from urllib.parse import quote

from tests.integration.reading.records import record
from tests.integration.reading.world import ROLE, binding, service_account, token

LONGEST_LINE = 8000
"""Of a request, as the reader reads them: aiohttp takes 8190 bytes."""
FORBIDDEN_MARK = "SECRET"
EVERYTHING = "since=30d&limit=10000"


@contextmanager
def tenants(world, write):
    """Mallory may read `mine`; `theirs` has an owner of its own, whose records have a mark that must never show."""
    plane = world.control_plane
    mine, theirs = (plane.create_namespace(f"{name}-{world.suffix}") for name in ("mine", "theirs"))
    mallory, owner = (mine, "mallory"), (theirs, "owner")
    plane.apply(
        service_account(*mallory), service_account(*owner), binding(ROLE, mallory, mine), binding(ROLE, owner, theirs)
    )
    time.sleep(2.1)  # a namespace's creation is known to the second, and records are up to a second old
    write([*_others_records(mine, theirs), *_own_records(mine, theirs)])
    yield SimpleNamespace(
        world=world, reader=world.reader, mine=mine, theirs=theirs, plane=plane,
        token=token(plane, *mallory), owner_token=token(plane, *owner),
    )  # fmt: skip
    for each in (mine, theirs):
        plane.finalize_namespace(each)


def _others_records(mine, theirs):
    """Nothing of this is mallory's."""
    secret = FORBIDDEN_MARK
    return [
        *(record(theirs, f"{secret}-{n}", ago=n / 100, name="x", username=f"user-{n}") for n in range(20)),
        record("", f"{secret}-cluster-scoped", ago=0.5, resource="nodes"),
        record("", f"{secret}-unseen", ago=0.5, unseen=mine),
        record("", f"{secret}-quarantined", ago=0.5, quarantine="no JSON object"),
        record(mine, f"{secret}-other-cluster", ago=0.5, cluster="other"),
        record(mine, f"{secret}-earlier-namespace", ago=3600.0),
        record(theirs, f"{secret}-says-mine", ago=0.5, event={"objectRef": {"namespace": mine}, "namespace": mine}),
        record(theirs, f"{secret}-named-mine", ago=0.5, name=mine, username=mine, resource=mine),
        record(f"{mine}x", f"{secret}-longer", ago=0.5),
        record(mine[:-1], f"{secret}-shorter", ago=0.5),
        record(mine.upper(), f"{secret}-upper", ago=0.5),
        record(f"{mine},{theirs}", f"{secret}-comma", ago=0.5),
        record(f" {mine}", f"{secret}-space", ago=0.5),
    ]


def _own_records(mine, theirs):
    """The last ones are forged: mallory writes their text."""
    return [
        *(record(mine, f"own-{n}", ago=0.0) for n in range(5)),
        record(mine, "own-forged", ago=0.0, event={"namespace": theirs, "objectRef": {"namespace": theirs}}),
        record(mine, "own-forged-user", ago=0.0, username=f'x" or namespace:="{theirs}', name=theirs),
    ]


QUERIES = {
    # whose records
    "plainly": "namespace={theirs}",
    "both": "namespace={mine},{theirs}",
    "both, other order": "namespace={theirs},{mine}",
    "twice": "namespace={mine}&namespace={theirs}",
    "twice, other order": "namespace={theirs}&namespace={mine}",
    "as an array": "namespace={mine}&namespace[]={theirs}",
    "as an indexed array": "namespace[0]={mine}&namespace[1]={theirs}",
    "in capitals": "namespace={mine}&Namespace={theirs}",
    "name encoded": "namespace={mine}&%6eamespace={theirs}",
    "name with a space": "namespace={mine}&namespace%20={theirs}",
    "name with NUL": "namespace={mine}&namespace%00={theirs}",
    "plural": "namespace={mine}&namespaces={theirs}",
    "no namespace": "since=1h",
    "empty": "namespace=",
    "empty beside": "namespace={mine},",
    "space": "namespace=%20",
    "wildcard": "namespace=*",
    "wildcard encoded": "namespace=%2A",
    "prefix": "namespace=t*",
    "regular expression": "namespace=.*",
    "alternatives": "namespace={mine}|{theirs}",
    "in brackets": "namespace=({mine}%20or%20{theirs})",
    "list of LogsQL": "namespace=in({mine},{theirs})",
    "all": "namespace=all",
    "dash": "namespace=-",
    "NUL behind": "namespace={theirs}%00",
    "NUL between": "namespace={mine}%00{theirs}",
    "newline": "namespace={mine}%0A{theirs}",
    "carriage return": "namespace={mine}%0D%0Anamespace:{theirs}",
    "encoded comma": "namespace={mine}%2C{theirs}",
    "comma encoded twice": "namespace={mine}%252C{theirs}",
    "encoded ampersand": "namespace={mine}%26namespace%3D{theirs}",
    "semicolon": "namespace={mine};namespace={theirs}",
    "fullwidth comma": "namespace={mine}%EF%BC%8C{theirs}",
    "fullwidth letters": "namespace=%EF%BD%94%EF%BD%88eirs",
    "Cyrillic letter": "namespace={theirs_cyrillic}",
    "zero width space": "namespace={theirs}%E2%80%8B",
    "upper case": "namespace={mine_upper}",
    "overlong UTF-8": "namespace={mine}%C0%AC{theirs}",
    "half a surrogate": "namespace={mine}%ED%A0%80",
    "no UTF-8": "namespace={mine}%ff",
    "longer name": "namespace={mine}x",
    "shorter name": "namespace={mine_shorter}",
    "with a comma in it": "namespace=%22{mine},{theirs}%22",
    "path in the name": "namespace={mine}/../{theirs}",
    "many names": "namespace={many},{theirs}",
    "very long": "namespace={mine}&user={long}&x={theirs}",
    "cluster-scoped": "clusterScoped=true",
    "cluster-scoped beside": "namespace={mine}&clusterScoped=true",
    "cluster-scoped, otherwise": "namespace={mine}&clusterScoped=TRUE",
    "all namespaces": "namespace={mine}&allNamespaces=true",
    "another cluster": "namespace={mine}&cluster=other",
    "another cluster as a field": "namespace={mine}&clusters=*",
    "before the namespace was made": "namespace={mine}&since=30d&order=oldest",
    # the store's own language, through each value
    "end of the literal": "namespace={mine}&user=%22%20or%20namespace:%3D%22{theirs}",
    "escaped quote": "namespace={mine}&user=%5C%22%20or%20namespace:%3D%22{theirs}",
    "backtick": "namespace={mine}&user=%60%20or%20*%20or%20%60",
    "apostrophe": "namespace={mine}&user=%27%20or%20*%20or%20%27",
    "closing bracket": "namespace={mine}&user=x%22)%20or%20(*",
    "pipe": "namespace={mine}&user=x%22%20%7C%20delete%20_msg",
    "union": "namespace={mine}&name=x%22%20%7C%20union%20(*)%20%7C%20limit%201",
    "join": "namespace={mine}&name=x%22%20%7C%20join%20by%20(cluster)%20(*)",
    "subquery": "namespace={mine}&name=in(namespace:*%20%7C%20fields%20name)",
    "comment": "namespace={mine}&name=x%22%20or%20*%20%23",
    "options": "namespace={mine}&name=x%22%20options(ignore_global_time_filter%3Dtrue)%20or%20*",
    "stream filter": "namespace={mine}&contains=%7Bnamespace%3D%22{theirs}%22%7D",
    "star": "namespace={mine}&contains=*",
    "end of the substring": "namespace={mine}&contains=%22*%20or%20*:*%22",
    "negation": "namespace={mine}&contains=%22*%20or%20!namespace:%3D%22x%22%20or%20_msg:*%22",
    "regular expression in a value": "namespace={mine}&user=~%22.*%22",
    "code": "namespace={mine}&code=200%22%20or%20*",
    "verb": "namespace={mine}&verb=get%22%20or%20%22*",
    "level": "namespace={mine}&level=Metadata%22%20or%20*",
    "stage": "namespace={mine}&stage=*",
    "resource": "namespace={mine}&resource=secrets%22%20or%20*%20or%20%22/x",
    "group": "namespace={mine}&group=%22%20or%20namespace:*%20or%20%22",
    "audit ID": "namespace={mine}&auditID=*",
    "since": "namespace={mine}&since=1h)%20or%20(_time:30d",
    "until": "namespace={mine}&until=2026-01-01T00:00:00Z%5D%20or%20*",
    "limit": "namespace={mine}&limit=10%20%7C%20union%20(*)",
    "order": "namespace={mine}&order=newest)%20%7C%20union%20(*)%20%7C%20sort%20by%20(_time",
    "format": "namespace={mine}&format=json%0A*",
    "query": "namespace={mine}&query=*",
    "extra filters": "namespace={mine}&extra_filters=namespace:{theirs}",
    "tenant as a parameter": "namespace={mine}&AccountID=0&ProjectID=1",
    "their name as a user": "namespace={mine}&user={theirs}",
    "their name in the text": "namespace={mine}&contains={theirs}",
}
"""What stands behind the question mark of mallory's request."""


def filled(text, scene):
    values = {
        "mine": scene.mine,
        "theirs": scene.theirs,
        "theirs_cyrillic": quote(scene.theirs.replace("e", "\u0435", 1)),
        "mine_upper": scene.mine.upper(),
        "mine_shorter": scene.mine[:-1],
        "many": ",".join(f"{scene.mine}-{n}" for n in range(40)),
        "long": "x" * 100_000,
        "store": scene.world.store,
        "owner_token_cut": scene.owner_token[:-4],
    }
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def asked(scene, query):
    """The answer to a tenant's question.

    To one that is too long, the reader answers and hangs up before all of it was said. That makes the tenant's machine
    forget an answer that it has not read yet: it is asked again then.
    """
    for _ in range(20):
        answer = scene.reader.ask(query, scene.token)
        if answer.raw or len(query) < LONGEST_LINE:
            break
    return answer


def expect_nothing_of_others(answer, *, statuses=(200, 400, 401, 403, 404, 405)):
    """Neither records of others, nor success with what is not whole."""
    assert FORBIDDEN_MARK.encode() not in answer.raw, answer.raw[:2000]
    assert answer.status in statuses, answer.raw[:500]
    if answer.status == 200:
        assert all(each.startswith("own-") for each in answer.marks), answer.body
