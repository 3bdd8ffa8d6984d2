"""`explain`: which rule decides about a request, and why the others do not."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from audit_operator.cli.inputs import read_file
from audit_operator.cli.policy_file import read_policy
from audit_operator.cli.usage import UsageError, add_version
from audit_operator.policy.attributes import NoRequestError, request_from_http
from audit_operator.policy.evaluate import evaluate
from audit_operator.policy.explain import explain
from audit_operator.policy.explanation_text import describe
from audit_operator.policy.json_lines import decision_to_json, request_from_json
from audit_operator.policy.model import Request, User

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = """examples:
  audit-operator explain --policy audit-policy.yaml --user alice --group dev GET /api/v1/namespaces/web/secrets
  audit-operator explain --policy audit-policy.yaml GET '/api/v1/pods?watch=true'      a failed authentication
  audit-operator explain --policy audit-policy.yaml --requests requests.jsonl -o jsonl

A line of requests.jsonl:
  {"user":{"name":"alice","groups":["dev"]},"verb":"get","resourceRequest":true,"resource":"pods"}
A line of the answer:
  {"level":"Metadata","omitStages":[],"omitManagedFields":false,"rule":3}
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "explain",
        help="say which rule decides about a request",
        description="Say for requests at which level a policy records them, which rule decided, and which earlier ones "
        "nearly matched.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--policy", metavar="FILE", required=True, help="an audit.k8s.io/v1 Policy; - for standard input"
    )
    parser.add_argument("--requests", metavar="FILE", help="requests as JSON, one a line; - for standard input")
    parser.add_argument("--user", metavar="NAME", help="who sends the request (default: nobody, as after a 401)")
    parser.add_argument("--group", metavar="NAME", action="append", default=[], help="a group of the user")
    parser.add_argument("request", nargs="*", metavar="METHOD URL", help="one request, for example GET /api/v1/pods")
    parser.add_argument("-o", "--output", choices=["text", "json", "jsonl"], default="text", help="default: text")
    add_version(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Explain and print."""
    if options.policy == options.requests == "-":
        message = "only one of --policy and --requests can be standard input"
        raise UsageError(message)
    policy = read_policy(options.policy, options.kubernetes_version)
    requests = _requests(options)
    if options.output == "text":
        for request in requests:
            print(describe(explain(policy, request)))
        return 0
    decisions = (decision_to_json(evaluate(policy, request)) for request in requests)
    if options.output == "json":
        print(json.dumps(list(decisions), indent=2))
        return 0
    for decision in decisions:
        print(json.dumps(decision))
    return 0


def _requests(options: argparse.Namespace) -> Iterator[Request]:
    if options.requests and not options.request:
        yield from _requests_in(options.requests)
        return
    if options.requests or len(options.request) != len(("METHOD", "URL")):
        message = "say either --requests FILE, or METHOD and URL of one request"
        raise UsageError(message)
    method, url = options.request
    path, _, query = url.partition("?")
    user = None if options.user is None else User(options.user, tuple(options.group))
    try:
        yield request_from_http(method, path, query, user)
    except NoRequestError as error:
        raise UsageError(str(error)) from error


def _requests_in(file: str) -> Iterator[Request]:
    # Split at line feeds alone: the text may hold other line separators, inside of strings.
    for number, line in enumerate(read_file(file).split("\n"), 1):
        if not line.strip():
            continue
        try:
            request = request_from_json(json.loads(line))
        except ValueError as error:
            message = f"{file}:{number}: this is no JSON: {error}"
            raise UsageError(message) from error
        if not isinstance(request, Request):
            message = f"{file}:{number}: {request.message}"
            raise UsageError(message)
        yield request
