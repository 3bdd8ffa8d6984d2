"""What holds for every manifest that we are able to edit, however it is written."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from audit_operator.controlplane.static_pod.audit_flags import (
    OUR_FLAGS,
    AuditConfiguration,
    LogSettings,
    effective_flags,
)
from audit_operator.controlplane.static_pod.manifest import (
    Manifest,
    ManifestError,
    ManifestProblem,
    enrolled,
    read_back,
    with_audit_part_of,
)
from tests.examples import examples

POLICIES = "/etc/kubernetes/audit-operator/policies"

FIXTURES = [path.read_bytes().decode() for path in sorted((Path(__file__).parent / "manifests").glob("*.yaml"))]

# A line about our part: one of our flags, the value of one as an item of its own, or a line of our volumes and mounts.
OURS = re.compile(
    "|".join(
        [
            *(flag.replace("-", "[-_]") + r"\b(?![-_])" for flag in OUR_FLAGS),
            r"""^\s*(- *)?['"]?(value-of-ours|\d+|true|false|batch|blocking)['"]?(  # why)?\s*$""",
            r"audit-operator|/var/log|DirectoryOrCreate|hostPath:$|readOnly: true$|(volumes|volumeMounts):$",
        ]
    )
)

LAW = settings(
    deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)

FOREIGN_FLAGS = [
    "--secure-port=6443",
    "--authorization-mode=Node,RBAC",
    "--audit-webhook-mode=batch",
    "--v=2",
    "--profiling",
]


@st.composite
def configurations(draw):
    log = LogSettings(
        path=draw(st.sampled_from(["/var/log/kubernetes/audit/audit.log", "/var/log/a.log", "/var/log/b/c.log"])),
        max_age=draw(st.integers(1, 99)),
        mode=draw(st.sampled_from(["blocking", "batch"])),
        truncate_enabled=draw(st.booleans()),
    )
    return AuditConfiguration(draw(st.sampled_from("abc")) * 64, log)


@st.composite
def items(draw, indent):
    """The lines of one flag, in any style, with comments around it."""
    ours = draw(st.booleans())
    name = draw(st.sampled_from(OUR_FLAGS)) if ours else draw(st.sampled_from(FOREIGN_FLAGS))
    words = [name]
    if ours:
        name = draw(st.sampled_from([name, name.replace("-", "_").replace("__", "--", 1)]))
        words = draw(st.sampled_from([[f"{name}=7"], [f"{name}=value-of-ours"], [name, "value-of-ours"]]))
    gap = draw(st.sampled_from([" ", "   ", f"\n{indent}  "]))
    quote = draw(st.sampled_from(["", "'", '"']))
    comment = draw(st.sampled_from(["", "  # why"]))
    above = draw(st.sampled_from(["", "", f"{indent}# above\n", "\n", "# left\n"]))
    return above + "".join(f"{indent}-{gap}{quote}{word}{quote}{comment}\n" for word in words)


@st.composite
def manifests(draw):
    """A Pod with one kube-apiserver, the keys of each mapping in any order."""
    deep = draw(st.sampled_from(["", "  "]))
    dash = " " * 4 + deep
    flags = "".join(draw(st.lists(items(dash), min_size=1, max_size=6)))
    program = f"{dash}- kube-apiserver\n"
    command, args = draw(st.sampled_from([(program + flags, ""), (program, flags), ("", flags)]))
    keys = [
        "    image: x  # image\n",
        f"    command:\n{command}" if command else "",
        f"    args: # flags\n{args}" if args else "",
        draw(st.sampled_from(["", f"    volumeMounts:\n{dash}- {{name: pki, mountPath: /pki}}\n"])),
        draw(st.sampled_from(["", "    env:\n    - name: A\n      value: |\n        --audit-log-path=x\n\n"])),
    ]
    container = "  - name: kube-apiserver\n" + "".join(draw(st.permutations(keys)))
    sidecar = draw(st.sampled_from(["", "  - name: other\n    args: [--audit-log-path=x]\n"]))
    containers = draw(st.permutations([container, sidecar]))
    spec = draw(
        st.permutations(
            [
                "  containers:\n" + "".join(containers),
                draw(st.sampled_from(["", "  volumes:\n  # one\n  - name: pki\n    hostPath: {path: /pki}\n"])),
                "  hostNetwork: true\n",
            ]
        )
    )
    text = draw(st.sampled_from(["", "---\n", "# ours\n"])) + "kind: Pod\nspec:\n" + "".join(spec)
    text += draw(st.sampled_from(["", "status: {}\n", "...\n", "# end\n\n"]))
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return text.rstrip("\r\n") if draw(st.booleans()) else text


def outside(text: str) -> list[str]:
    """All lines that are not ours."""
    return [line for line in text.splitlines() if line.strip() != "-" and not OURS.search(line.rstrip())]


def foreign(text: str) -> dict:
    """What it says but for our part, by PyYAML."""
    value = yaml.safe_load(text)
    spec = value["spec"]
    container = next(each for each in spec["containers"] if each["name"] == "kube-apiserver")
    words = [*container.pop("command", []), *container.pop("args", [])]
    flags = effective_flags(words)
    container["flags"] = {name: flag for name, flag in flags.items() if name not in OUR_FLAGS}
    for parent, key in ((container, "volumeMounts"), (spec, "volumes")):
        parent[key] = [each for each in parent.get(key, []) if not each["name"].startswith("audit-operator-")]
    return value


def parses(text: str) -> bool:
    return isinstance(Manifest.parse(text), Manifest)


@LAW
@given(manifests(), configurations(), configurations())
def test_enrolling_changes_nothing_but_our_part(text, first, second):
    assume(parses(text))
    once = enrolled(text, first, POLICIES)
    twice = enrolled(once, second, POLICIES)
    for result, configuration in ((once, first), (twice, second)):
        assert enrolled(result, configuration, POLICIES) == result
        assert read_back(result, POLICIES) == configuration
        assert foreign(result) == foreign(text)
        assert outside(result) == outside(text)
        flags = Manifest.parse(result).flags
        assert {name: flags[name] for name in OUR_FLAGS} == configuration.flags(POLICIES)


@LAW
@given(manifests(), configurations(), configurations())
def test_the_way_back_is_exact(text, first, second):
    assume(parses(text))
    once = enrolled(text, first, POLICIES)
    twice = enrolled(once, second, POLICIES)
    assert with_audit_part_of(once, text) == text
    assert with_audit_part_of(twice, text) == text
    assert with_audit_part_of(twice, once) == once
    assert with_audit_part_of(text, twice) == twice
    assert with_audit_part_of(text, text) == text


@LAW
@given(manifests(), configurations())
def test_the_way_back_keeps_what_others_have_changed_meanwhile(text, configuration):
    assume(parses(text))

    def by_others(manifest: str) -> str:
        return manifest.replace("image: x", "image: z").replace("name: pki", "name: tls").replace("=6443", "=443")

    expected = by_others(text)
    result = with_audit_part_of(by_others(enrolled(text, configuration, POLICIES)), text)
    assert foreign(result) == foreign(expected)
    assert audit_flags(result) == audit_flags(expected)
    assert outside(result) == outside(expected)
    if not repeats(text):
        assert result == expected


def repeats(text: str) -> bool:
    """Whether one of our flags is given more than once: then the comments between may come to stand elsewhere."""
    return any(len(re.findall(rf"{flag}[ =\"'\r\n]".replace("-", "[-_]"), text)) > 1 for flag in OUR_FLAGS)


@LAW
@given(manifests(), manifests(), configurations())
def test_the_audit_part_of_any_manifest_fits_into_any_other(text, source, configuration):
    assume(parses(text) and parses(source))
    for part in (source, enrolled(source, configuration, POLICIES)):
        with suppress(ManifestError):  # nothing else would be left
            result = with_audit_part_of(text, part)
            assert audit_flags(result) == audit_flags(part)
            assert foreign(result) == foreign(text)


def audit_flags(text: str) -> dict[str, str]:
    flags = Manifest.parse(text).flags
    return {name: value for name, value in flags.items() if name in OUR_FLAGS}


@LAW
@given(st.data())
def test_no_text_breaks_it(data):
    """Real manifests with characters lost, doubled and put in: each is refused, or edited as every other."""
    text = data.draw(st.sampled_from(FIXTURES))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 40)))
        put_in = data.draw(
            st.sampled_from(
                ["", "\n", " ", "  ", "- ", "#", ": ", "'", '"', "|\n", "&a ", "\t", "\r\n", "---\n", "[", "{", "\x85"]
            )
        )
        text = text[:start] + put_in + text[data.draw(st.sampled_from([start, end])) :]
    manifest = Manifest.parse(text)
    if isinstance(manifest, ManifestProblem):
        assert manifest.message
        return
    configuration = AuditConfiguration("a" * 64, LogSettings())
    try:
        result = enrolled(text, configuration, POLICIES)
    except ManifestError:
        return
    assert read_back(result, POLICIES) == configuration
    assert with_audit_part_of(result, text) == text
    other = replace(configuration, digest="b" * 64)
    assert with_audit_part_of(enrolled(result, other, POLICIES), text) == text
