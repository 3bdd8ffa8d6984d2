"""`rollout`: how far a policy has come on control-plane nodes, and the ways to stop it, go on, and go back."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from audit_operator.cli.from_cluster import add_connection, kubeconfig_file
from audit_operator.cli.usage import UsageError, namespace
from audit_operator.cluster.resources import AUDIT_CONTROL_PLANE, CONFIG_MAP
from audit_operator.controlplane.configmap import DIGEST_ANNOTATION
from audit_operator.controlplane.static_pod.instructions import (
    COMPONENT_LABEL,
    INSTRUCTIONS_KEY,
    POLICY_COMPONENT,
    Instructions,
    rollout_name,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
    from pathlib import Path

    from audit_operator.cluster.rest import RestClient

    Status = Mapping[str, Any]

_ACTION_EXAMPLES = {
    "status": """
  kubectl audit-policy rollout status                     every node of the only control plane
  kubectl audit-policy rollout status main --wait         until every API server runs what is wanted""",
    "pause": """
  kubectl audit-policy rollout pause                      leave API servers as they are from now on""",
    "resume": """
  kubectl audit-policy rollout resume                     go on, and try once more what has failed""",
    "rollback": """
  kubectl audit-policy rollout rollback                   back to what was asked for before, until `resume`; once more
                                                          goes one further
  kubectl audit-policy rollout rollback --to 3fa9c1       back to a policy by the beginning of its digest""",
    "unenrol": """
  kubectl audit-policy rollout unenrol --wait             give manifests back what they had before the first change""",
}
_NAMING = """
NAME may be left out where there is one AuditControlPlane with driver StaticPod; unenrol without a name means all.
"""
EXAMPLES = f"examples:{''.join(_ACTION_EXAMPLES.values())}\n{_NAMING}"
_POLL = 2.0
_STEADY = 3
"""Answers in a row that must say the same before something counts as done."""
_Answer = TypeVar("_Answer")
_SHOWN = 12


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "rollout",
        help="see, stop, go on with or take back a roll-out",
        description="How far a policy has come on control-plane nodes (driver StaticPod), and how to stop, go on, and "
        "go back. Everything but status changes spec.rollout or spec.staticPod of an AuditControlPlane.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, (text, act) in _ACTIONS.items():
        action = actions.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"examples:{_ACTION_EXAMPLES[name]}\n{_NAMING}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        action.add_argument("name", metavar="NAME", nargs="?", default="", help="an AuditControlPlane")
        action.add_argument("--wait", action="store_true", help="until every node has done it")
        action.add_argument(
            "--timeout", metavar="SECONDS", type=float, default=600.0, help="for --wait (default: 600); exit status 1"
        )
        action.add_argument("-o", "--output", choices=["table", "json"], default="table", help="default: table")
        if name == "rollback":
            action.add_argument(
                "--to", metavar="DIGEST", default="", help="or its beginning (default: what policies asked for before)"
            )
            action.add_argument(
                "-n",
                "--namespace",
                type=namespace,
                default="audit-operator",
                help="the operator's, where it keeps policies",
            )
        add_connection(action)
        action.set_defaults(run=run, act=act)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    # Imported here: the client takes a quarter of a second that other commands should not pay.
    from audit_operator.cluster.connection import ConnectionConfigError  # noqa: PLC0415
    from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError  # noqa: PLC0415

    try:
        return asyncio.run(_run(options))
    except (ApiError, ApiUnreachableError, InconsistentListError, ConnectionConfigError) as error:
        message = f"cannot use the cluster: {error}"
        raise UsageError(message) from error


async def _run(options: argparse.Namespace) -> int:
    from audit_operator.cluster.connection import connect  # noqa: PLC0415 - see run
    from audit_operator.cluster.rest import RestClient  # noqa: PLC0415

    connection = await connect(_kubeconfig(options), options.context)
    try:
        client = RestClient(connection.session())
        end = time.monotonic() + options.timeout if options.wait else 0.0
        planes = await _patiently(lambda: _planes(client, options.name), end)
        if options.act is not _unenrol and len(planes) != 1:
            there_are = ", ".join(each["metadata"]["name"] for each in planes) or "none"
            message = f"name one AuditControlPlane with driver StaticPod (there are: {there_are})"
            raise UsageError(message)
        done = [await _act(client, plane, options, end) for plane in planes]
        return int(not all(done))
    finally:
        await connection.aclose()


async def _act(client: RestClient, plane: Status, options: argparse.Namespace, end: float) -> bool:
    """Act on one control plane, wait if that is asked for, and show it; whether it was done in time."""
    change: dict[str, Any] = await _patiently(lambda: options.act(client, plane, options), end)
    if change:
        plane = await _patiently(lambda: _patch(client, plane, change), end)
    done = await _wait(client, plane, end) if options.wait else True
    plane = await _patiently(lambda: _get(client, plane["metadata"]["name"]), end)
    sys.stdout.write(_shown(plane, options.output))
    return done


def _kubeconfig(options: argparse.Namespace) -> Path | None:
    """Kubectl's file; in a pod without one, None for the service account."""
    file = kubeconfig_file(options)
    in_pod = not options.kubeconfig and not file.exists() and "KUBERNETES_SERVICE_HOST" in os.environ
    return None if in_pod else file


# The actions: what each changes in the spec; empty for nothing


async def _status(_client: RestClient, _plane: Status, _options: argparse.Namespace) -> dict[str, Any]:
    return {}  # only look


async def _pause(_client: RestClient, _plane: Status, _options: argparse.Namespace) -> dict[str, Any]:
    return {"rollout": {"paused": True}}


async def _resume(_client: RestClient, _plane: Status, _options: argparse.Namespace) -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"rollout": {"paused": False, "pinnedDigest": "", "retry": now}, "staticPod": {"enrolled": True}}


async def _rollback(client: RestClient, plane: Status, options: argparse.Namespace) -> dict[str, Any]:
    known = await _published(client, options.namespace)
    if options.to:
        fitting = [each for each in known if each.startswith(options.to)]
    else:
        before = _before(plane, await _history(client, plane, options.namespace))
        fitting = [each for each in before[-1:] if each in known]
    if len(fitting) != 1:
        there_are = ", ".join(each[:_SHOWN] for each in known) or "none"
        message = (
            f"{options.to or 'the policy before'}: no single policy to go back to (kept are, oldest first: {there_are})"
        )
        raise UsageError(message)
    return {"rollout": {"paused": False, "pinnedDigest": fitting[0]}}


def _before(plane: Status, history: Sequence[str]) -> Sequence[str]:
    """What was asked for before what is wanted now; that itself may not have been told to any node yet."""
    pinned = _pinned(plane)
    current = pinned or plane.get("status", {}).get("digest", "")
    if current in history:
        return history[: history.index(current)]
    return () if pinned else history


async def _unenrol(_client: RestClient, _plane: Status, _options: argparse.Namespace) -> dict[str, Any]:
    return {"rollout": {"paused": False}, "staticPod": {"enrolled": False}}


_ACTIONS: dict[str, tuple[str, Callable[..., Coroutine[Any, Any, dict[str, Any]]]]] = {
    "status": ("show what each API server runs", _status),
    "pause": ("leave API servers as they are; a change under way is finished", _pause),
    "resume": ("go on, try once more what has failed, and end a rollback", _resume),
    "rollback": ("go back to an earlier policy, until resume", _rollback),
    "unenrol": ("give manifests back what they had before the first change", _unenrol),
}


# The cluster


async def _planes(client: RestClient, name: str) -> list[Status]:
    """Those with driver StaticPod: the one with this name, or all."""
    listing = await client.list(AUDIT_CONTROL_PLANE, lambda each: each)
    fitting = [each for each in listing.items if each["spec"].get("driver") == "StaticPod"]
    return [each for each in fitting if not name or each["metadata"]["name"] == name]


async def _get(client: RestClient, name: str) -> Status:
    return await client.get(AUDIT_CONTROL_PLANE, name=name)


async def _patch(client: RestClient, plane: Status, spec: dict[str, Any]) -> Status:
    return await client.merge(AUDIT_CONTROL_PLANE, name=plane["metadata"]["name"], body={"spec": spec})


async def _history(client: RestClient, plane: Status, namespace: str) -> Sequence[str]:
    """What policies have asked of a control plane, oldest first, as the instructions to its nodes say."""
    from audit_operator.cluster.rest import ApiError  # noqa: PLC0415 - see run

    try:
        found = await client.get(CONFIG_MAP, name=rollout_name(plane["metadata"]["name"]), namespace=namespace)
        return Instructions.model_validate_json((found.get("data") or {}).get(INSTRUCTIONS_KEY, "")).history
    except ValidationError:
        return ()  # in a format of another release
    except ApiError as error:
        if error.not_found:
            return ()
        raise


async def _published(client: RestClient, namespace: str) -> list[str]:
    """Digests of the policies that the operator keeps, oldest first. In other namespaces, anybody may write some."""
    resource = replace(CONFIG_MAP, label_selector=f"{COMPONENT_LABEL}={POLICY_COMPONENT}")
    listing = await client.list(resource, lambda each: each["metadata"], namespace=namespace)
    ordered = sorted(listing.items, key=lambda each: str(each["creationTimestamp"]))
    digests = [str((each.get("annotations") or {}).get(DIGEST_ANNOTATION, "")) for each in ordered]
    return list(filter(None, digests))


async def _wait(client: RestClient, plane: Status, end: float) -> bool:
    """Whether it is done before the time is over, and stays so: who has just come up may go once more."""
    name, generation, steady = plane["metadata"]["name"], plane["metadata"]["generation"], 0
    while time.monotonic() < end:
        found = await _ask(lambda: _get(client, name), end)
        steady = steady + 1 if found is not None and is_done(found, generation) else 0
        if steady == _STEADY:
            return True
        await asyncio.sleep(_POLL)
    return False


async def _patiently(ask: Callable[[], Awaitable[_Answer]], end: float) -> _Answer:
    """The answer, until a time also of an API server that is away just now, or that does not know its roles yet."""
    while True:
        answer = await _ask(ask, end)
        if answer is not None:
            return answer
        await asyncio.sleep(_POLL)


async def _ask(ask: Callable[[], Awaitable[_Answer]], end: float) -> _Answer | None:
    """The answer; None where there may be one in a moment, and there is time."""
    from audit_operator.cluster.rest import ApiError, ApiUnreachableError  # noqa: PLC0415 - see run

    try:
        return await ask()
    except ApiUnreachableError as error:
        if time.monotonic() >= end:
            raise
        print(f"the API server is away: {error}", file=sys.stderr)
    except ApiError as error:
        transient = error.status == HTTPStatus.FORBIDDEN or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        if not transient or time.monotonic() >= end:
            raise
    return None


def is_done(plane: Status, generation: int) -> bool:
    """Whether every node has reached what the spec of this generation, or a later one, asks for."""
    status, spec = plane.get("status") or {}, plane["spec"]
    servers = status.get("apiServers") or []
    if status.get("observedGeneration", 0) < generation or not servers:
        return False
    if not (spec.get("staticPod") or {}).get("enrolled", True):
        return all(
            each["state"] == "Running" and each.get("ready") and not each.get("desiredDigest") for each in servers
        )
    wanted = _pinned(plane) or status.get("digest")
    return bool(wanted) and all(
        each["state"] == "Running" and each.get("ready") and each.get("runningDigest") == wanted for each in servers
    )


def _pinned(plane: Status) -> str:
    return str((plane["spec"].get("rollout") or {}).get("pinnedDigest", ""))


# Showing


def _shown(plane: Status, output: str) -> str:
    status = plane.get("status") or {}
    if output == "json":
        shown = {"name": plane["metadata"]["name"], "generation": plane["metadata"]["generation"], "status": status}
        return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"
    servers = status.get("apiServers") or []
    rows: list[tuple[str, ...]] = [("NODE", "STATE", "DESIRED", "RUNNING", "READY", "ATTEMPTS", "SINCE", "MESSAGE")]
    rows += [_row(each) for each in servers]
    condition: Status = next((each for each in status.get("conditions") or () if each["type"] == "Programmed"), {})
    head = f"{plane['metadata']['name']}: {status.get('progress', '0/0')} run the wanted policy"
    said = (
        f"Programmed={condition.get('status', 'Unknown')} {condition.get('reason', '')}: {condition.get('message', '')}"
    )
    return "\n".join([head, said, "", *_aligned(rows)]) + "\n"


def _row(server: Status) -> tuple[str, ...]:
    return (
        server["name"],
        server["state"],
        server.get("desiredDigest", "")[:_SHOWN] or "-",
        server.get("runningDigest", "")[:_SHOWN] or "-",
        str(server.get("ready", False)),
        str(server.get("attempts", 0)),
        server.get("since", "-"),
        server.get("lastError", ""),
    )


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
