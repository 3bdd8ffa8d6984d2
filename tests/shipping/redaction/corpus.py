"""Planted secrets in every place of an event, and harmless values that look like some.

Both are made here and not read from files, so that each secret is distinct, each place has a name, and whoever adds a
place or a kind of secret gets all combinations. All values are invented.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import urllib.parse
import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from audit_operator.api.redaction import RedactionProfile
from audit_operator.shipping.redaction.demand import RedactionDemand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEFAULT = RedactionDemand()
NOTHING = RedactionDemand(profiles=frozenset())
EVERYTHING = RedactionDemand(profiles=frozenset(RedactionProfile))
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Leak:
    """An event that holds a secret, and what of it must not be found any more."""

    name: str
    event: Json
    secret: str
    line: str = ""
    demand: RedactionDemand = field(default_factory=RedactionDemand)

    def found_in(self, text: str) -> bool:
        """Whether the secret, or a good part of it, stands in a text, in whatever form."""
        core = _core(self.secret)
        parts = re.findall(_PART, core) or [core[len(core) // 5 : -len(core) // 3][:24]]
        forms = (*parts, urllib.parse.quote(core, safe=""))
        return any(form in each for each in _readings(text) for form in forms)

    @property
    def text(self) -> str:
        return self.line or line_of(self.event)


_PART = r"part[0-9]+[a-z]{4}"
_SIGNS = "&<>\"\\/'ü\u2028\n;=%:, "


def odd(number: int, signs: str = _SIGNS) -> str:
    """A secret with such signs around and between its parts, none of which may get through."""
    parts = [f"part{number}{_words(number, place)}" for place in range(len(signs))]
    return "".join(sign + part for sign, part in zip(signs, parts, strict=True))


def _words(number: int, place: int) -> str:
    return re.sub("[0-9]", "x", _letters(number * 100 + place, 4))


def _core(secret: str) -> str:
    """What must not be seen of a secret whose kind may be."""
    if "PRIVATE KEY" in secret:
        return secret.split("\n")[1]
    secret = re.sub(r"%3A%2F%2Fapp%3A", "://app:", secret.replace("%40", "@"))
    return re.sub(r"^(?:Bearer\s+|Basic\s+|kubeadm join --token=|.*://app:)|@.*svc.*", "", secret)


def _readings(text: str, depth: int = 3) -> Iterator[str]:
    """A text, and what it holds in escapes and in base64."""
    yield text
    if "\\" in text:
        yield re.sub(
            r"\\(?:u([0-9a-fA-F]{4})|(.))", lambda found: chr(int(found[1], 16)) if found[1] else found[2], text
        )
    for run in re.findall(r"[A-Za-z0-9+/]{16,}", text) if depth else ():
        decoded = base64.b64decode(run[: len(run) // 4 * 4]).decode("latin-1")
        if sum(map(str.isprintable, decoded)) > len(decoded) * 0.9:
            yield from _readings(decoded, depth - 1)


def line_of(event: object) -> str:
    """As the API server writes it."""
    text = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def event(resource: str = "pods", subresource: str = "", verb: str = "create", **changed: Any) -> Json:
    group = {"deployments": "apps", "widgets": "example.com", "tokenreviews": "authentication.k8s.io"}.get(resource, "")
    base = f"/apis/{group}/v1" if group else "/api/v1"
    reference = {"resource": resource, "namespace": "shop", "name": "it", "apiVersion": "v1"}
    if group:
        reference["apiGroup"] = group
    if subresource:
        reference["subresource"] = subresource
    tail = f"/{subresource}" if subresource else ""
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": "6c2a5b0e-7d5f-4d0c-9b0a-1f5d3a6b7c8d",
        "stage": "ResponseComplete",
        "requestURI": f"{base}/namespaces/shop/{resource}/it{tail}",
        "verb": verb,
        "user": {"username": "dora", "uid": "17", "groups": ["dev", "system:authenticated"]},
        "sourceIPs": ["10.1.2.3"],
        "userAgent": "kubectl/v1.37.2 (linux/amd64) kubernetes/abcdef0",
        "objectRef": reference,
        "responseStatus": {"metadata": {}, "code": 201},
        "requestReceivedTimestamp": "2026-11-28T07:00:00.000000Z",
        "stageTimestamp": "2026-11-28T07:00:00.010000Z",
        "annotations": {
            "authorization.k8s.io/decision": "allow",
            "authorization.k8s.io/reason": 'RBAC: allowed by RoleBinding "x/shop" of Role "x" to Group "dev"',
        },
        **changed,
    }


def secret_object(**fields: Any) -> Json:
    return {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "it", "namespace": "shop"}, **fields}


def pod(**fields: Any) -> Json:
    container = {"name": "c", "image": "nginx:1", **fields}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "it"}, "spec": {"containers": [container]}}


def widget(**fields: Any) -> Json:
    return {"kind": "Widget", "apiVersion": "example.com/v1", "metadata": {"name": "it"}, **fields}


# Kinds of secrets: the number makes each distinct.


def _letters(number: int, length: int) -> str:
    return base64.b32encode(hashlib.sha512(str(number).encode()).digest()).decode().lower()[:length]


def opaque(number: int) -> str:
    return f"hunter-{_letters(number, 14)}"


def jwt(number: int) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256', 'kid': _letters(number, 8)})}.{part({'sub': number})}.{_letters(number, 40)}"


def github(number: int) -> str:
    return f"ghp_{_letters(number, 36)}"


def aws(number: int) -> str:
    return f"AKIA{_letters(number, 16).upper()}"


def slack(number: int) -> str:
    return f"xoxb-{_letters(number, 24)}"


def vault(number: int) -> str:
    return f"hvs.{_letters(number, 30)}"


def bearer(number: int) -> str:
    return f"Bearer {_letters(number, 30)}"


def bearer_after_a_tab(number: int) -> str:
    return f"Bearer\t{_letters(number, 30)}"


def bearer_on_a_line_of_its_own(number: int) -> str:
    return f"bearer\n {_letters(number, 30)}"


def basic_after_a_tab(number: int) -> str:
    return f"Basic\t{b64('user:' + _letters(number, 12))}"


def basic(number: int) -> str:
    return f"Basic {b64('user:' + _letters(number, 12))}"


def jwt_in_base64(number: int) -> str:
    return b64(jwt(number))


def bootstrap(number: int) -> str:
    return f"kubeadm join --token={_letters(number, 6)}.{_letters(number + 1, 16)}"


def private_key(number: int) -> str:
    body = b64(_letters(number, 60))
    return f"-----BEGIN RSA PRIVATE KEY-----\n{body[:40]}\n{body[40:]}\n-----END RSA PRIVATE KEY-----\n"


def private_key_in_base64(number: int) -> str:
    return b64(private_key(number))


def url_with_password(number: int) -> str:
    return f"postgres://app:{_letters(number, 16)}@db.shop.svc/orders"


def url_with_odd_password(number: int) -> str:
    """What Go takes in a URL, and what others do."""
    return f"amqp://app:{odd(number, '&<>ü%!;=:@')}@db.shop.svc/orders"


def url_with_long_password(number: int) -> str:
    return f"amqp://app:part{number}{_words(number, 1)}{'x' * 400}@db.shop.svc/orders"


def e_mail(number: int) -> str:
    return f"{_letters(number, 8)}.doe@mail{number}.example.com"


def e_mail_with_umlauts(number: int) -> str:
    return f"part{number}{_words(number, 0)}.müller@mäil{number}.example.com"


def phone(number: int) -> str:
    return f"+49 {150 + number % 40} {1000000 + number * 7919 % 8999999}"


def social_security_number(number: int) -> str:
    return f"{100 + number % 800}-{10 + number % 80}-{1000 + number % 8999}"


def card(number: int) -> str:
    digits = f"4{10**14 + number * 104729 % 10**14}"[:16].ljust(16, "7")
    return digits if number % 2 else f"{digits[:4]} {digits[4:8]} {digits[8:12]} {digits[12:]}"


def iban(number: int) -> str:
    return f"DE{10 + number % 88}{370400440000000000 + number * 7919}"


def iban_in_small_letters(number: int) -> str:
    return iban(number).lower()


def iban_with_dashes(number: int) -> str:
    plain = iban(number)
    return "-".join(plain[place : place + 4] for place in range(0, len(plain), 4))


def encoded_url_with_password(number: int) -> str:
    return urllib.parse.quote(url_with_password(number), safe="")


TOKENS = (
    jwt, github, aws, slack, vault, bearer, basic, jwt_in_base64, bootstrap,
    bearer_after_a_tab, bearer_on_a_line_of_its_own, basic_after_a_tab,
)  # fmt: skip
VARIANTS = (
    bearer_after_a_tab, bearer_on_a_line_of_its_own, basic_after_a_tab, url_with_odd_password, url_with_long_password,
    e_mail_with_umlauts, iban_in_small_letters, iban_with_dashes, encoded_url_with_password,
)  # fmt: skip
"""Of which a large one would tell nothing that a small one does not."""
SECRETS = (
    private_key, private_key_in_base64, url_with_password, url_with_odd_password, url_with_long_password,
    encoded_url_with_password,
)  # fmt: skip
PERSONAL = (e_mail, e_mail_with_umlauts, phone, social_security_number)
FINANCIAL = (card, iban, iban_in_small_letters, iban_with_dashes)

# Places. Of Secrets and token objects, where the value itself says nothing.


def _applied(value: object) -> Json:
    return {"name": "it", "annotations": {LAST_APPLIED: line_of(value) + "\n"}}


def _patch_annotation(value: object) -> Json:
    patch = {"configuration": "c", "webhook": "w", "patch": value, "patchType": "JSONPatch"}
    return {"patch.webhook.admission.k8s.io/round_0_index_1": line_of(patch)}


def _status(message: str, **details: Any) -> Json:
    return {"metadata": {}, "status": "Failure", "reason": "Invalid", "code": 422, "message": message, **details}


def _table(row: object) -> Json:
    return {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "rows": [{"cells": ["it", "Opaque", 1], "object": row}]}


def _go_quoted(text: str) -> str:
    """As Go's %q spells it."""
    return json.dumps(text, ensure_ascii=False).replace("\u2028", "\\u2028")


def _refused(path: str, value: str) -> str:
    """As the API server says that it takes no such value."""
    return (
        f'Widget.example.com "it" is invalid: {path}: Invalid value: {_go_quoted(value)}: {path} in body is too short'
    )


def _in_url(parameter: str, value: str) -> Json:
    return event(requestURI=f"/x?{parameter}={value}&b=c")


OF_SECRETS: dict[str, Callable[[str], Json]] = {
    "data": lambda s: event("secrets", requestObject=secret_object(data={"password": b64(s)})),
    "data in the answer": lambda s: event("secrets", verb="get", responseObject=secret_object(data={"a": b64(s)})),
    "stringData": lambda s: event("secrets", requestObject=secret_object(stringData={"password": s})),
    "data nested too deeply": lambda s: event("secrets", verb="patch", requestObject={"data": {"a": {"b": [s]}}}),
    "data that is a list": lambda s: event("secrets", verb="patch", requestObject={"data": [s]}),
    "last-applied": lambda s: event(
        "secrets", requestObject=secret_object(metadata=_applied(secret_object(stringData={"a": s})))
    ),
    "annotation": lambda s: event("secrets", requestObject=secret_object(metadata={"annotations": {"x.io/copy": s}})),
    "managedFields": lambda s: event(
        "secrets", requestObject=secret_object(metadata={"managedFields": [{"fieldsV1": {f'v:"{s}"': {}}}]})
    ),
    "unknown field": lambda s: event("secrets", requestObject=secret_object(spec={"a": s})),
    "unknown field of metadata": lambda s: event("secrets", requestObject=secret_object(metadata={"b": {"a": s}})),
    "metadata that is a list": lambda s: event("secrets", requestObject=secret_object(metadata=[s])),
    "json patch": lambda s: event(
        "secrets", verb="patch", requestObject=[{"op": "replace", "path": "/data/a", "value": b64(s)}]
    ),
    "merge patch": lambda s: event("secrets", verb="patch", requestObject={"data": {"a": b64(s)}}),
    "patch of annotations": lambda s: event(
        "secrets", verb="patch", requestObject={"metadata": {"annotations": {LAST_APPLIED: f'{{"data":"{s}"}}'}}}
    ),
    "apply in YAML": lambda s: event(
        "secrets", verb="patch", requestObject=f"apiVersion: v1\nkind: Secret\nstringData:\n  a: {s}\n"
    ),
    "apply in JSON": lambda s: event("secrets", verb="patch", requestObject=secret_object(stringData={"a": s})),
    "list": lambda s: event(
        "secrets", verb="list", responseObject={"kind": "SecretList", "items": [{"data": {"a": b64(s)}}]}
    ),
    "list of the deleted": lambda s: event(
        "secrets",
        verb="deletecollection",
        responseObject={"kind": "SecretList", "items": [secret_object(data={"a": s})]},
    ),
    "items that are a map": lambda s: event("secrets", verb="list", responseObject={"items": {"a": s}}),
    "table": lambda s: event("secrets", verb="list", responseObject=_table(secret_object(data={"a": b64(s)}))),
    "table with last-applied": lambda s: event(
        "secrets", verb="list", responseObject=_table({"metadata": _applied(secret_object(stringData={"a": s}))})
    ),
    "message": lambda s: event("secrets", responseStatus=_status(f'data[a]: Invalid value: "{s}": no')),
    "message of the answer": lambda s: event("secrets", responseObject={"kind": "Status", "message": f"no {s}"}),
    "causes": lambda s: event(
        "secrets", responseStatus=_status("[REDACTED]", details={"name": "it", "causes": [{"message": s}]})
    ),
    "details that are a text": lambda s: event("secrets", responseStatus={"code": 422, "details": s}),
    "responseStatus that is a text": lambda s: event("secrets", responseStatus=s),
    "webhook's patch": lambda s: event("secrets", annotations=_patch_annotation([{"op": "add", "value": s}])),
    "webhook's annotation": lambda s: event("secrets", annotations={"policy.example.com/why": f"value was {s}"}),
    "annotations that are a text": lambda s: event("secrets", annotations=s),
    "helm release": lambda s: event(
        "secrets", requestObject=secret_object(type="helm.sh/release.v1", data={"release": b64(b64(s))})
    ),
    "service-account token": lambda s: event(
        "secrets",
        requestObject=secret_object(
            type="kubernetes.io/service-account-token", data={"token": b64(s), "ca.crt": "eA=="}
        ),
    ),
    "bootstrap token": lambda s: event(
        "secrets", requestObject=secret_object(type="bootstrap.kubernetes.io/token", stringData={"token-secret": s})
    ),
    "Docker's configuration": lambda s: event(
        "secrets", requestObject=secret_object(data={".dockerconfigjson": b64('{"auths":{"x":{"auth":"' + s + '"}}}')})
    ),
    "1 MiB of data": lambda s: event("secrets", requestObject=secret_object(data={"a": b64("x" * 2**20) + b64(s)})),
    "Secret under another resource": lambda s: event("widgets", requestObject=secret_object(data={"a": s})),
    "objectRef without a resource": lambda s: event("pods", objectRef={"name": "it"}, requestObject={"data": {"a": s}}),
    "objectRef that is a text": lambda s: event("pods", objectRef="secrets", requestObject={"data": {"a": s}}),
    "Secret in a template": lambda s: event(
        "widgets", requestObject=widget(objects=[secret_object(stringData={"a": s})])
    ),
    "Secret in lists in lists": lambda s: event(
        "widgets", responseObject=widget(spec={"m": [[{"n": [secret_object(data={"a": b64(s)})]}]]})
    ),
    "Secret in a text in JSON": lambda s: event(
        "widgets", requestObject=widget(text=line_of(secret_object(stringData={"a": s})))
    ),
    "Secret in a text in spaced JSON": lambda s: event(
        "widgets", requestObject=widget(text=json.dumps(secret_object(stringData={"a": s}), indent=2))
    ),
    "Secret in a text in YAML": lambda s: event(
        "widgets",
        requestObject=widget(text=f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: it\ndata:\n  a: {b64(s)}\n"),
    ),
    "Secret in last-applied of something else": lambda s: event(
        "widgets", requestObject=widget(metadata=_applied(widget(objects=[secret_object(stringData={"a": s})])))
    ),
    "token of a TokenReview": lambda s: event(
        "tokenreviews", requestObject={"kind": "TokenReview", "spec": {"token": s}}
    ),
    "token of an answered TokenReview": lambda s: event(
        "tokenreviews", responseObject={"kind": "TokenReview", "spec": {"token": s}, "status": {"authenticated": True}}
    ),
    "error of a TokenReview": lambda s: event(
        "tokenreviews", responseObject={"kind": "TokenReview", "spec": {}, "status": {"error": f"bad token {s}"}}
    ),
    "spec of a TokenReview that is a text": lambda s: event("tokenreviews", requestObject={"spec": s}),
    "last-applied of a TokenReview": lambda s: event(
        "tokenreviews", requestObject={"metadata": _applied({"spec": {"token": s}}), "spec": {}}
    ),
    "token of a TokenRequest": lambda s: event(
        "serviceaccounts", "token", responseObject={"kind": "TokenRequest", "status": {"token": s}}
    ),
    "status of a TokenRequest that is a list": lambda s: event(
        "serviceaccounts", "token", responseObject={"status": [s]}
    ),
    "unknown field of the event": lambda s: event(note={"a": [s]}),
    "note of the event": lambda s: event(redacted=s),
    "webhook's patch of a Pod": lambda s: event(annotations=_patch_annotation([{"op": "add", "value": {"value": s}}])),
    "token in the URL": lambda s: event(requestURI=f"/api/v1/namespaces/shop/pods/it/proxy/x?a=b&token={s}&c=d"),
    "access token in the URL": lambda s: event(requestURI=f"/login?access_token={s}"),
    "password in the URL": lambda s: event(requestURI=f"/login?user=a&password={s}#top"),
    "signature in the URL": lambda s: event(requestURI=f"/x?X-Amz-Signature={s}"),
    "encoded parameter in the URL": lambda s: event(requestURI=f"/x?%74oken={s}"),
    "parameter in the path": lambda s: event(requestURI=f"/api/v1/namespaces/shop/services/x/proxy/login;password={s}"),
    "parameter behind a semicolon": lambda s: event(requestURI=f"/x?a=b;token={s}"),
    "parameter behind a second question mark": lambda s: event(requestURI=f"/x?a=b?token={s}"),
    **{
        f"{name} in the URL": partial(_in_url, name)
        for name in (
            "secret_key",
            "private_key",
            "id_token_hint",
            "client_secret",
            "session",
            "sessionId",
            "client_assertion",
            "SAMLResponse",
            "encryptionKey",
            "X-Amz-Credential",
            "subscription-key",
            "otp",
            "jwt",
        )
    },
}
"""Always taken out, whatever a policy asks for, but for those below."""

BY_DEFAULT: dict[str, Callable[[str], Json]] = {
    "ConfigMap": lambda s: event("configmaps", requestObject={"kind": "ConfigMap", "data": {"a": s}}),
    "binaryData of a ConfigMap": lambda s: event("configmaps", responseObject={"binaryData": {"a": b64(s)}}),
    "list of ConfigMaps": lambda s: event("configmaps", verb="list", responseObject={"items": [{"data": {"a": s}}]}),
    "JSON patch of a ConfigMap": lambda s: event(
        "configmaps", requestObject=[{"op": "add", "path": "/data/a", "value": s}]
    ),
    "JSON patch of a password": lambda s: event(
        "widgets", verb="patch", requestObject=[{"op": "replace", "path": "/spec/password", "value": s}]
    ),
    "helm release in a ConfigMap": lambda s: event("configmaps", requestObject={"data": {"release": b64(b64(s))}}),
    "last-applied of a Deployment": lambda s: event(
        "deployments", requestObject=widget(metadata=_applied({"spec": s}))
    ),
    "last-applied in a JSON patch": lambda s: event(
        "deployments",
        verb="patch",
        requestObject=[
            {"op": "add", "path": f"/metadata/annotations/{LAST_APPLIED.replace('/', '~1')}", "value": f'{{"a":"{s}"}}'}
        ],
    ),
    "last-applied in a list": lambda s: event(
        "deployments", verb="list", responseObject={"items": [{"metadata": _applied({"spec": {"a": s}})}]}
    ),
    "last-applied in a table": lambda s: event(
        "deployments", verb="list", responseObject=_table({"metadata": _applied({"spec": {"a": s}})})
    ),
    "password of some kind": lambda s: event("widgets", requestObject=widget(spec={"adminPassword": s})),
    "quoted password of some kind": lambda s: event("widgets", requestObject=widget(spec={"password": f'a"{s}\\'})),
    "secret key of some kind": lambda s: event("widgets", requestObject=widget(spec={"deep": [{"secret_key": s}]})),
    "client secret in a list": lambda s: event("widgets", verb="list", responseObject={"items": [{"clientSecret": s}]}),
    "password in a text": lambda s: event("widgets", requestObject=widget(text=line_of({"password": s, "a": 1}))),
    "password in a text, escaped": lambda s: event(
        "widgets", requestObject=widget(text=json.dumps({"password": s, "a": 1}))
    ),
    "key with odd signs": lambda s: event("widgets", requestObject=widget(spec={"db:ü password": s})),
    "parameter with a type": lambda s: event(
        "widgets", requestObject=widget(params=[{"name": "token", "type": "string", "value": s}])
    ),
    "last-applied in a manifest": lambda s: event(
        "manifestworks", requestObject=widget(spec={"manifests": [{"metadata": _applied({"spec": s})}]})
    ),
    "last-applied in a template": lambda s: event(
        "deployments",
        requestObject=widget(metadata=_applied({}), spec={"template": {"metadata": _applied({"a": s})}}),
    ),
    "last-applied in a manifest, beside who manages it": lambda s: event(
        "widgets",
        requestObject=widget(
            metadata=_applied({}) | {"managedFields": [{"fieldsV1": {f"f:{LAST_APPLIED}": {}}}]},
            spec={"manifest": {"metadata": _applied(s)}},
        ),
    ),
    "last-applied in an object in a text": lambda s: event(
        "widgets", requestObject=widget(text=line_of(widget(metadata=_applied({"spec": s}))))
    ),
    "last-applied in an object in a text, laid out": lambda s: event(
        "widgets", requestObject=widget(text=json.dumps(widget(metadata=_applied({"spec": s})), indent=1))
    ),
    "last-applied in a text in a text": lambda s: event(
        "widgets", requestObject=widget(text=line_of({"text": line_of(widget(metadata=_applied({"spec": s})))}))
    ),
    "last-applied in YAML": lambda s: event(
        "widgets", requestObject=widget(text=f"metadata:\n  annotations:\n    {LAST_APPLIED}: |\n      {line_of(s)}\n")
    ),
    "message that refuses a password": lambda s: event(
        "widgets", requestObject=widget(spec={"password": s}), responseStatus=_status(_refused("spec.password", s))
    ),
    "the same without bodies": lambda s: event(
        "widgets", level="Metadata", responseStatus=_status(_refused("spec.db[0].apiToken", s))
    ),
    "cause that refuses a password": lambda s: event(
        "widgets",
        responseStatus=_status(
            "", details={"causes": [{"reason": "FieldValueInvalid", "message": f"no {s}", "field": "spec.password"}]}
        ),
    ),
    "answer that refuses a password": lambda s: event(
        "widgets",
        responseObject={
            "kind": "Status",
            **_status(
                _refused('spec.passwords["a"].password', s),
                details={"causes": [{"message": _refused("spec.secret", s), "field": "spec.secret"}]},
            ),
        },
    ),
    "message that refuses the type of a password": lambda s: event(
        "widgets",
        responseStatus=_status(
            f'spec.password: Invalid value: "string": spec.password in body must be of type integer: {_go_quoted(s)}'
        ),
    ),
    "message that refuses a list of passwords": lambda s: event(
        "widgets", responseStatus=_status(f"spec.password: Invalid value: {line_of([s])}: too short")
    ),
    "message that refuses an object": lambda s: event(
        "widgets", responseStatus=_status(f"spec: Invalid value: {line_of({'a': 1, 'password': s})}: no")
    ),
    "message of an admission webhook": lambda s: event(
        "widgets",
        responseStatus=_status(f'admission webhook "v" denied the request: {line_of({"clientSecret": s})}'),
    ),
    "webhook's annotation with a password": lambda s: event(
        annotations={
            "authorization.k8s.io/decision": "allow",
            "authorization.k8s.io/reason": "",
            "v.example.com/env": line_of({"name": "DB_PASSWORD", "value": s}),
        }
    ),
    "webhook's annotation alone": lambda s: event(annotations={"v.example.com/a": line_of({"token": s})}),
    "environment": lambda s: event(requestObject=pod(env=[{"name": "DB_PASSWORD", "value": s}])),
    "environment in a strategic patch": lambda s: event(
        "deployments",
        verb="patch",
        requestObject={"spec": {"containers": [{"env": [{"name": "API_TOKEN", "value": s}]}]}},
    ),
    "environment in a list": lambda s: event(
        verb="list",
        responseObject={"items": [pod(env=[{"name": "A", "value": "1"}, {"name": "X_SECRET", "value": s}])]},
    ),
    "environment in a text": lambda s: event(
        "widgets", requestObject=widget(text=line_of(pod(env=[{"name": "SECRET_KEY", "value": s}])))
    ),
    "header of a probe": lambda s: event(
        requestObject=pod(
            livenessProbe={"httpGet": {"httpHeaders": [{"name": "Authorization", "value": f"ApiKey {s}"}]}}
        )
    ),
    "header as a field": lambda s: event("widgets", requestObject=widget(headers={"Cookie": s, "x": "y"})),
    "headers as lists": lambda s: event("widgets", requestObject=widget(headers={"Proxy-Authorization": [s]})),
    "second of a list of headers": lambda s: event(
        "widgets", requestObject=widget(headers={"Set-Cookie": ["a=1", s], "authorization": ["", "x", s]})
    ),
    "header in a text": lambda s: event(
        "widgets", requestObject=widget(text=json.dumps({"headers": {"Authorization": s, "x": "y"}}))
    ),
    "header of a probe in a text": lambda s: event(
        "widgets", requestObject=widget(text=json.dumps({"httpHeaders": [{"name": "Cookie", "value": s}]}, indent=2))
    ),
    "list of headers in a text": lambda s: event(
        "widgets", requestObject=widget(text=json.dumps({"Set-Cookie": ["", "a=1", s], "x": [1]}, indent=2))
    ),
    "command line": lambda s: event(
        subresource="exec", requestURI=f"/api/v1/namespaces/shop/pods/it/exec?command=mysql&command=-p{s}&stdin=true"
    ),
    "shell": lambda s: event(
        subresource="exec",
        requestURI=f"/x/exec?command=sh&command=-c&command=curl+-u+a%3A{s}+http%3A%2F%2Fx&container=c",
    ),
    "command line in one word": lambda s: event(subresource="attach", requestURI=f"/x?container=c&command=run%20{s}"),
    "first word of a command line": lambda s: event(subresource="exec", requestURI=f"/x?command=login%20{s}"),
    "option for a first word": lambda s: event(subresource="exec", requestURI=f"/x?command=-p{s}"),
    "line that the kubelet runs": lambda s: event(
        "nodes", "proxy", requestURI=f"/api/v1/nodes/n/proxy/run/shop/it/c?cmd=mysql%20-p{s}"
    ),
    "words that the kubelet runs": lambda s: event(
        "nodes", "proxy", requestURI=f"/api/v1/nodes/n/proxy/exec/shop/it/c?cmd=mysql&cmd=-p{s}"
    ),
}
"""Taken out where a policy asks for the default, Secrets and Tokens."""

OF_ACCOUNTS: dict[str, Callable[[str], Json]] = {
    "account number": lambda s: event("widgets", requestObject=widget(spec={"accountNumber": s})),
    "card in a list": lambda s: event("widgets", responseObject={"items": [{"card-number": s}, {"cvv": "x"}]}),
    "IBAN by name": lambda s: event("widgets", requestObject={"spec": {"iban": f'a "{s}"'}}),
}
"""Taken out where a policy asks for Financial."""

ANYWHERE: dict[str, Callable[[str], Json]] = {
    "field": lambda s: event("widgets", requestObject=widget(spec={"note": s})),
    "field of the answer": lambda s: event("widgets", verb="get", responseObject=widget(status={"note": s})),
    "within a text": lambda s: event("widgets", requestObject=widget(spec={"note": f"line one\n{s}\nline three"})),
    "quoted within a text": lambda s: event("widgets", requestObject=widget(spec={"note": f'say "{s}" to \\ it'})),
    "text of an object in a text": lambda s: event("widgets", requestObject=widget(text=json.dumps({"a": {"b": s}}))),
    "argument": lambda s: event(requestObject=pod(args=["--token", s])),
    "environment without a telling name": lambda s: event(requestObject=pod(env=[{"name": "A", "value": s}])),
    "JSON patch": lambda s: event(verb="patch", requestObject=[{"op": "add", "path": "/spec/a", "value": s}]),
    "merge patch": lambda s: event(verb="patch", requestObject={"spec": {"note": s}}),
    "list": lambda s: event("widgets", verb="list", responseObject={"items": [{}, widget(spec={"note": s})]}),
    "nested list": lambda s: event("widgets", responseObject=widget(spec=[[[s]], 1])),
    "CertificateSigningRequest": lambda s: event(
        "certificatesigningrequests", requestObject={"kind": "CertificateSigningRequest", "spec": {"request": s}}
    ),
    "label": lambda s: event("widgets", requestObject=widget(metadata={"labels": {"a": s}})),
    "message": lambda s: event("widgets", responseStatus=_status(f'spec.note: Invalid value: "{s}": must be shorter')),
    "cause": lambda s: event("widgets", responseStatus=_status("x", details={"causes": [{"message": f"no {s}"}]})),
    "message of the answer": lambda s: event("widgets", responseObject={"kind": "Status", **_status(f"no {s}")}),
    "webhook's annotation": lambda s: event(annotations={"policy.example.com/why": f"found {s} there"}),
    "userAgent": lambda s: event(userAgent=f"curl/8 {s}"),
    "between signs": lambda s: event("widgets", requestObject=widget(spec={"note": f"a&{s}<b"})),
    "in brackets": lambda s: event("widgets", requestObject=widget(spec={"note": f"to <{s}>"})),
    "after a tab": lambda s: event("widgets", responseObject=widget(spec={"note": f"to\t{s}\tb"})),
    "1 MiB": lambda s: event("widgets", requestObject=widget(spec={"note": f"{'lorem ipsum ' * 90_000}{s}"})),
}
"""Where the shape of the value tells."""


IN_PROSE: dict[str, Callable[[str], Json]] = {
    "message of a webhook with an assignment": lambda s: event(
        "widgets", responseStatus=_status(f'admission webhook "v" denied the request: DB_PASSWORD={s} is weak')
    ),
    "message with an assignment": lambda s: event("widgets", responseStatus=_status(f"cannot use api_key={s}, sorry")),
    "answer with an assignment": lambda s: event(
        "widgets", responseObject={"kind": "Status", **_status(f"line one\nAPP_TOKEN={s}\nline three")}
    ),
    "text with quoted assignments": lambda s: event(
        "widgets", requestObject=widget(text=f"A='1' DB_PASSWORD=\"{s}\"", more=json.dumps({"text": f'api-key="{s}"'}))
    ),
    "text with assignments": lambda s: event("widgets", requestObject=widget(text=f"A=1\nCLIENT_SECRET={s}\nB=2")),
    "webhook's annotation with an assignment": lambda s: event(annotations={"v.example.com/why": f"DB_PASSWORD={s}"}),
    "ValidatingAdmissionPolicy": lambda s: event(
        annotations={
            "validation.policy.admission.k8s.io/validation_failure": line_of(
                [{"message": f'the "password" {s} is in use', "policy": "p", "binding": "b", "expressionIndex": 0}]
            )
        }
    ),
    "URL in a parameter": lambda s: event(requestURI=f"/x?to=https%3A%2F%2Fapp%3A{s}%40db.shop%2Fa&b=c"),
}
"""Taken out where a policy asks for Secrets; where signs stand in such a value, nobody knows where it ends."""


def leaks() -> Iterator[Leak]:
    number = 0
    for places, demands in ((OF_SECRETS, (NOTHING, DEFAULT)), (BY_DEFAULT, (DEFAULT,)), (OF_ACCOUNTS, (EVERYTHING,))):
        for place, plant in places.items():
            for demand in demands:
                number += 1
                if demand is NOTHING and place.startswith("Secret in"):
                    continue  # found by a pattern
                yield Leak(
                    f"{place} ({len(demand.profiles)} profiles)", plant(opaque(number)), opaque(number), demand=demand
                )
            number += 1
            yield Leak(f"{place}, with odd signs", _with_odd_signs(plant, number), odd(number), demand=demands[-1])
    for place, plant in IN_PROSE.items():
        number += 1
        yield Leak(place, plant(opaque(number)), opaque(number), demand=DEFAULT)
    for kinds, demand in ((TOKENS + SECRETS, DEFAULT), (PERSONAL + FINANCIAL, EVERYTHING)):
        for kind in kinds:
            for place, plant in ANYWHERE.items():
                number += 1
                if place == "1 MiB" and kind in VARIANTS:
                    continue
                yield Leak(f"{kind.__name__}: {place}", plant(kind(number)), kind(number), demand=demand)
    yield from _spelled_oddly(number + 1)


def _with_odd_signs(plant: Callable[[str], Json], number: int) -> Json:
    planted, secret = plant(odd(number)), odd(number)
    return plant(urllib.parse.quote(secret, safe="")) if secret in planted["requestURI"] else planted


def _spelled_oddly(number: int) -> Iterator[Leak]:
    """Lines that Go's encoder does not write, but that hold the body of a patch as it was sent."""
    token, password, mail = jwt(number), opaque(number + 1), e_mail(number + 2)
    plain = event("widgets", verb="patch", requestObject={"spec": {"note": "HERE"}})
    for name, spelled, secret, demand in (
        ("escaped letters", "".join(f"\\u{ord(each):04x}" for each in token), token, DEFAULT),
        ("an escaped @", mail.replace("@", "\\u0040"), mail, EVERYTHING),
        ("escaped dots", token.replace(".", "\\u002E"), token, DEFAULT),
    ):
        line = line_of(plain).replace("HERE", spelled)
        yield Leak(name, json.loads(line), secret, line, demand)
    for name, body, secret in (
        ("an escaped key", f'{{"spec":{{"pass\\u0077ord":"{password}"}}}}', password),
        ("escaped slashes", f'{{"spec":{{"note":"amqp:\\/\\/app:{password}@mq.shop"}}}}', password),
    ):
        line = line_of(plain).replace('{"spec":{"note":"HERE"}}', body)
        yield Leak(name, json.loads(line), secret, line)
    spaced = event("widgets", verb="patch", requestObject={"spec": {"password": password}})
    yield Leak("spaces", spaced, password, json.dumps(spaced))
    digits = str(int.from_bytes(opaque(number + 3).encode()) % 10**15)
    yield Leak("a password that is a number", event("widgets", requestObject={"password": int(digits)}), digits)
    doubled = f'{{"spec":{{"note":"{token}","note":"x"}}}}'
    line = line_of(plain).replace('{"spec":{"note":"HERE"}}', doubled)
    yield Leak("a field that stands twice", json.loads(line), token, line)


@dataclass(frozen=True, slots=True)
class Harmless:
    """An event with a value that must stay as it is, under every profile."""

    kind: str
    value: str
    event: Json


def _harmless_values() -> Iterator[tuple[str, str]]:
    for n in range(60):
        digest = hashlib.sha256(str(n).encode()).hexdigest()
        yield "uid", str(uuid.uuid5(uuid.NAMESPACE_DNS, str(n)))
        yield "uid in capitals", _like_an_iban(n)
        yield "image by digest", f"registry.example.com/team/app@sha256:{digest}"
        yield "image by tag", f"ghcr.io/acme/app:v1.{n}.3-rc.{n}+build.{n}"
        yield "resource version", str(104_729_000 + n * 7919)
        yield "commit", hashlib.sha1(str(n).encode()).hexdigest()  # noqa: S324 - looks like one
        yield "short commit", digest[:7]
        yield "time", f"2026-{1 + n % 12:02}-{1 + n % 28:02}T{n % 24:02}:{n:02}:09Z"
        yield "time with a zone", f"2026-11-{1 + n % 28:02}T07:{n:02}:09.123456+01:00"
        yield "milliseconds", str(1_795_849_200_000 + n * 1013)
        yield "nanoseconds", str(1_795_849_200_000_000_000 + n * 104_729)
        yield "IPv4", f"10.{n}.{n * 3 % 256}.{n * 7 % 256}"
        yield "IPv6", f"fd00:{n:x}::{n * 31:x}"
        yield "label", f"app-{digest[:10]}-{digest[10:15]}"
        yield "version", f"v1.{30 + n % 8}.{n}+k3s{n % 4}"
        yield "quantity", f"{n * 128}Mi"
        yield "service URL", f"https://svc-{n}.shop.svc.cluster.local:8443/healthz?verbose={n}"
        yield "cron", f"{n} */{1 + n % 12} * * 1-5"
        yield "name of a Secret", f"db-password-{n}"
        yield "hash of a template", digest[20:30]
        yield (
            "words",
            ("bearer authentication", "basic authentication", "the token expires", "kind: SecretStore")[n % 4],
        )


def _like_an_iban(number: int) -> str:
    """A UUID of which one group or another begins as an IBAN does."""
    groups = str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))).upper().split("-")
    place = number % len(groups)
    groups[place] = ("BE12", "AD12", "AE98")[number % 3] + groups[place][4:]
    return "-".join(groups)


def _harmless_fields() -> Iterator[tuple[str, Json]]:
    """Fields whose names look as if a secret stood there."""
    yield "reference to a Secret", {"valuesFrom": [{"kind": "Secret", "name": "values"}]}
    yield "certificate reference", {"tls": {"certificateRefs": [{"kind": "Secret", "name": "cert", "group": ""}]}}
    yield "volume", {"volumes": [{"name": "v", "secret": {"secretName": "db-password", "defaultMode": 420}}]}
    yield "projected token", {"sources": [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}]}
    yield (
        "env from a Secret",
        {"env": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}}]},
    )
    yield "file of a password", {"env": [{"name": "PASSWORD_FILE", "value": "/run/secrets/db"}]}
    yield (
        "time to live of a token",
        {"env": [{"name": "TOKEN_TTL", "value": "3600s"}, {"name": "KEYBOARD", "value": "de"}]},
    )
    yield "toleration", {"tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}]}
    yield "pull secrets", {"imagePullSecrets": [{"name": "registry-credentials"}]}
    yield "flag", {"automountServiceAccountToken": False}
    yield "condition", {"conditions": [{"type": "Ready", "status": "True", "message": "Deployment is available."}]}
    yield "arguments", {"args": ["--token-ttl=3600", "--secret-name=db", "--key-size=4096", "--password-file=/run/x"]}
    yield "organisation", {"organization": "acme", "cookiePolicy": "none", "authorization": {"mode": "RBAC"}}
    yield "address", {"args": ["--next=https%3A%2F%2Fshop.svc%3A8443%2Fa%40b"]}
    yield "selector", {"selector": {"matchExpressions": [{"key": "secret-access", "operator": "In", "values": ["a"]}]}}


_HOLDERS: tuple[Callable[[str], Json], ...] = (
    lambda v: event("widgets", requestObject=widget(spec={"value": v, "list": [v]})),
    lambda v: event(
        "widgets", verb="list", responseObject={"kind": "WidgetList", "items": [widget(metadata={"x": v})]}
    ),
    lambda v: event(requestObject=pod(args=[f"--value={v}"], env=[{"name": "VALUE", "value": v}])),
    lambda v: event("deployments", responseStatus={"metadata": {}, "code": 404, "message": f'widgets "{v}" not found'}),
)


def harmless() -> Iterator[Harmless]:
    for number, (kind, value) in enumerate(_harmless_values()):
        yield Harmless(kind, value, _HOLDERS[number // 20 % len(_HOLDERS)](value))
    for kind, fields in _harmless_fields():
        yield Harmless(kind, line_of(fields), event("widgets", requestObject=widget(spec=fields)))
    for uri in (
        "/api/v1/pods?limit=500&resourceVersion=0",
        "/api/v1/namespaces/shop/pods?labelSelector=app%3Dweb%2Ctier%21%3Ddb&watch=true&allowWatchBookmarks=true",
        "/api/v1/namespaces/shop/pods?continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ&limit=500",
        "/apis/apps/v1/deployments?fieldManager=kubectl-client-side-apply&fieldValidation=Strict",
        "/openapi/v3/apis/apps/v1?hash=014FBFF9A07C",
        "/readyz?verbose",
    ):
        yield Harmless("URL", uri, event(requestURI=uri))


def hostile() -> Iterator[Json]:
    """Events of which each part has every wrong type in turn."""
    wrong = (None, 0, -1.5, True, "", "text", [], [[]], [None, {"a": 1}], {}, {"a": {"b": []}}, {"": None})
    for resource, subresource in (
        ("secrets", ""),
        ("configmaps", ""),
        ("tokenreviews", ""),
        ("serviceaccounts", "token"),
        ("pods", "exec"),
    ):
        body = {
            **secret_object(data={"a": "eA=="}, stringData={"a": "x"}, spec={"token": "t"}, status={"token": "t"}),
            "metadata": {"annotations": {LAST_APPLIED: "{}"}, "labels": {}},
            "items": [{}], "rows": [], "message": "m", "details": {"causes": []},
        }  # fmt: skip
        full = event(
            resource, subresource, requestObject=body, responseObject=body, responseStatus=_status("m", details={}),
            impersonatedUser={"username": "eve", "extra": {"a": ["b"]}}, requestURI="/x?token=a&command=b&command=c",
        )  # fmt: skip
        for path in _paths(full):
            for value in wrong:
                yield _changed(full, path, value)


def _paths(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _paths(each, (*path, key))


def _changed(value: Json, path: tuple[str, ...], new: object) -> Json:
    key, *rest = path
    return {**value, key: _changed(value[key], tuple(rest), new) if rest else new}
