"""Texts as the API server reads them: values, lines, problems, and what a hostile text may cost."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.policy.document import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_PROBLEMS,
    Document,
    ProblemKind,
    format_path,
    parse_document,
)
from audit_operator.policy.document.go_time import is_rfc3339, is_yaml_timestamp
from audit_operator.policy.document.yaml_scalars import format_float_key


def value(text: str | bytes) -> object:
    document = parse_document(text)
    assert document.readable, document.problems
    return document.value


def refusal(text: str | bytes) -> str:
    """Why a text is unreadable."""
    document = parse_document(text)
    assert not document.readable, document.value
    assert document.value is None
    (problem,) = [each for each in document.problems if each.kind is ProblemKind.UNREADABLE]
    return problem.message


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        *((word, True) for word in ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"]),
        *((word, False) for word in ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"]),
        *((word, None) for word in ("~", "null", "Null", "NULL", "")),
        *((word, word) for word in ["tRue", "nULL", "oN", "yEs", "none", "maybe"]),
        ("1", 1),
        ("+1", 1),
        ("-0", 0),
        ("017", 15),
        ("0o17", 15),
        ("0O17", 15),
        ("0x1F", 31),
        ("-0x1f", -31),
        ("0b101", 5),
        ("0b-101", -5),
        ("0b+1", 1),
        ("-0b11", -3),
        ("-0b-1", "-0b-1"),
        ("1_000", 1000),
        ("0_7", 7),
        ("_1", "_1"),
        ("08", 8.0),
        ("0o8", "0o8"),
        ("1e3", 1000.0),
        (".5", 0.5),
        (".5_0", 0.5),
        ("._5", "._5"),
        ("5.", 5.0),
        ("1_0.5", 10.5),
        ("1e400", "1e400"),
        ("1e-400", 0.0),
        ("9" * 400, "9" * 400),
        ("18446744073709551615", 18446744073709551615),
        ("+18446744073709551615", 18446744073709551615.0),
        ("18446744073709551616", 18446744073709551616.0),
        ("-9223372036854775808", -9223372036854775808),
        ("12:30", "12:30"),
        ("2001-01-01", "2001-01-01"),
        ("=", "="),
        ("0x", "0x"),
        ("0x1.8p3", "0x1.8p3"),
        ("inf", "inf"),
        ("'yes'", "yes"),
        ('"1"', "1"),
        ("!!str 5", "5"),
        ("!!str", ""),
        ("!!int '5'", 5),
        ("!!float 5", 5.0),
        ("!!bool 'no'", False),
        ("!!null ''", None),
        ("! 5", "5"),
        ("!custom 5", "5"),
        ("!!binary aGk=", "hi"),
        ("!!binary /w==", "\ufffd"),
        ("!!timestamp 2001-1-1", "2001-1-1"),
        ("!!seq {a: 1}", {"a": 1}),
    ],
)
def test_scalars_mean_what_go_yaml_makes_of_them(written: str, expected: object) -> None:
    result = value(f"key: {written}")
    assert result == {"key": expected}
    assert type(result["key"]) is type(expected)


@pytest.mark.parametrize(
    "written",
    [
        "!!int yes",
        "!!int 1.5",
        "!!bool 5",
        "!!null x",
        "!!float 18446744073709551615",
        "!!timestamp yesterday",
        "!!binary x",
        ".inf",
        "-.INF",
        ".NaN",
        "*missing",
        "&a [*a]",
        "{[a]: b}",
        "{~: b}",
        "{18446744073709551615: b}",
        "{<<: 5}",
        "{<<: [{}, 5]}",
        r'"\/"',
        r'"\ud800"',
        "[a?b]",
        "[a: b",
        "@at",
        "\x07",
    ],
)
def test_what_go_yaml_or_json_cannot_take_makes_a_text_unreadable(written: str) -> None:
    assert refusal(f"key: {written}")


def test_a_value_that_json_lacks_is_no_error_once_it_is_replaced() -> None:
    assert value("a: .inf\na: {~: 1}\na: 1") == {"a": 1}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (5.0, "5"),
        (0.5, "0.5"),
        (100000.0, "100000"),
        (1e6, "1e+06"),
        (1234567.0, "1.234567e+06"),
        (0.0001, "0.0001"),
        (1e-05, "1e-05"),
        (16777217.0, "1.6777216e+07"),
        (1e300, ".inf"),
        (-1e300, "-.inf"),
        (float("nan"), ".nan"),
    ],
)
def test_numbers_become_keys_as_go_writes_them(number: float, text: str) -> None:
    assert format_float_key(number) == text


def test_keys_that_are_no_strings_become_strings() -> None:
    assert value("1: a\non: b\n0x10: c\n1.5: d") == {"1": "a", "true": "b", "16": "c", "1.5": "d"}


def test_the_last_of_duplicate_keys_wins_and_is_reported() -> None:
    document = parse_document("a: 1\nb:\n- c: 2\n  c: 3\na: 4")
    assert document.value == {"a": 4, "b": [{"c": 3}]}
    assert [(p.kind, p.line, p.path) for p in document.problems] == [
        (ProblemKind.DUPLICATE_KEY, 4, ("b", 0, "c")),
        (ProblemKind.DUPLICATE_KEY, 5, ("a",)),
    ]


def test_keys_of_different_types_are_no_duplicates() -> None:
    assert parse_document('1: a\n"1": b').problems == ()


def test_a_merge_key_overrides_what_stands_before_it_and_is_overridden_by_what_follows() -> None:
    document = parse_document("base: &base {a: 1, b: 1}\nuse:\n  a: 2\n  <<: *base\n  b: 2")
    assert document.value["use"] == {"a": 1, "b": 2}
    assert [p.path for p in document.problems] == [("use", "a"), ("use", "b")]


def test_earlier_mappings_of_a_merged_list_win() -> None:
    assert value("x: &x {a: 1}\ny: &y {a: 2, b: 2}\nuse: {<<: [*x, *y]}")["use"] == {"a": 1, "b": 2}


def test_a_quoted_merge_key_is_a_key() -> None:
    assert value('"<<": {a: 1}') == {"<<": {"a": 1}}


def test_an_anchor_may_be_set_again() -> None:
    assert value("a: &x 1\nb: *x\nc: &x 2\nd: *x") == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_only_the_first_document_is_read() -> None:
    document = parse_document("a: 1\n---\nb: [")
    assert document.value == {"a": 1}
    assert [(p.kind, p.line) for p in document.problems] == [(ProblemKind.FURTHER_DOCUMENT, 2)]


def test_text_after_a_flow_document_is_not_read_either() -> None:
    document = parse_document("--- {a: 1} trailing")
    assert document.value == {"a": 1}
    assert [p.kind for p in document.problems] == [ProblemKind.FURTHER_DOCUMENT]


@pytest.mark.parametrize("text", ["", "\n", "# only a comment", "---", "--- ~", b"\xff\xfe"])
def test_an_empty_document_is_null(text: str | bytes) -> None:
    assert value(text) is None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_fine(encoding: str) -> None:
    assert value("a: ä".encode(encoding)) == {"a": "ä"}


def test_a_byte_order_mark_elsewhere_at_the_start_of_a_line_is_refused() -> None:
    assert "byte order mark" in refusal("a: 1\n\ufeffb: 2")


def test_bad_bytes_far_behind_the_first_document_are_not_seen() -> None:
    assert value(b"a: 1\n---\n" + b"#" * 2000 + b"\xff") == {"a": 1}
    assert refusal(b"a: 1\n---\n\xff")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[!x, a, b]", ["a", "b"]),
        ("[!!int, 5]", ["5"]),
        ("[a, !!str, ]", ["a", ""]),
        ("[!x, [a]]", [["a"]]),
        ("[!, {a: 1}]", [{"a": 1}]),
    ],
)
def test_a_tag_between_brackets_swallows_the_comma_after_it(text: str, expected: object) -> None:
    assert value(text) == expected


@pytest.mark.parametrize("text", ["[!<x>, a]", "[!x,a]", "[!x, *a]", "[!x, !y z]", "{a: !x, b: c}", "[!x, a: b]"])
def test_a_swallowed_comma_that_leaves_nonsense_is_refused(text: str) -> None:
    assert refusal(text)


@pytest.mark.parametrize("text", ["%YAML 1.2\n---\na: 1", "%FOO\n---\na: 1"])
def test_directives_other_than_yaml_1_1_are_refused(text: str) -> None:
    assert refusal(text)


def test_text_that_starts_with_a_brace_is_json() -> None:
    document = parse_document(' \n{"a": [1, 1.5, true, null, "\\u00e9\\/\\ud83d\\ude00\\ud800"]}\n')
    assert document.is_json
    assert document.value == {"a": [1, 1.5, True, None, "é/😀\ufffd"]}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}x",
        "{} {}",
        "{a: 1}",
        "{'a': 1}",
        '{"a": 01}',
        '{"a": .5}',
        '{"a": NaN}',
        '{"a": 1,}',
        '{"a" 1}',
        '{"a": [1 2]}',
        '{"a": [,]}',
        '{"a": "\t"}',
        '{"a": "\\x41"}',
        '{"a": "\\u12"}',
        '{"a": +1}',
        '{"a": tru}',
        "{} # comment",
        "\x0b{}",
        "\u2028{}",
        b'{"a": \xff}',
    ],
)
def test_what_go_does_not_call_json_is_refused(text: str | bytes) -> None:
    assert refusal(text)


def test_bytes_in_json_strings_that_are_no_utf8_are_replaced_one_by_one() -> None:
    assert value(b'{"a": "\xe2\x82 \xff"}') == {"a": "\ufffd\ufffd \ufffd"}


@pytest.mark.parametrize("data", [b'{"a": "\xe2\x82"}', b"a: \xff", "a: ä".encode("utf-16")])
def test_a_file_read_with_surrogateescape_is_the_file(data: bytes) -> None:
    assert parse_document(data.decode("utf-8", "surrogateescape")) == parse_document(data)


def test_numbers_too_large_for_json_stay_finite() -> None:
    assert json.dumps(value('{"a": 1e999, "b": -1e999}'), allow_nan=False)


def test_json_objects_keep_every_duplicate_for_the_decoder() -> None:
    document = parse_document('{"a": 1,\n"a": 2}')
    assert document.value == {"a": 2}
    assert [member.line for member in document.tree.members] == [1, 2]
    assert [(p.line, p.path) for p in document.problems] == [(2, ("a",))]


LINES = """\
rules:
- level: &level None
  verbs: [get,
    on]
- level: *level
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("rules",), 1),
        (("rules", 0), 2),
        (("rules", 0, "verbs"), 3),
        (("rules", 0, "verbs", 1), 4),
        (("rules", 1, "level"), 5),
        (("rules", 1, "verbs", 5), 5),
        (("rules", 7), 1),
        (("rules", "level"), 1),
        (("nothing",), 1),
    ],
)
def test_lines_are_those_of_the_key_or_of_the_nearest_part_above(path: tuple[str | int, ...], line: int) -> None:
    assert parse_document(LINES).line(path) == line


def test_lines_of_json_are_known_too() -> None:
    assert parse_document('{"a":\n [1,\n {"b":\n 2}]}').line(("a", 1, "b")) == 3


def test_an_unreadable_text_has_no_lines() -> None:
    assert parse_document("{").line(("a",)) == 0


def test_scalars_can_be_quoted_as_they_are_written() -> None:
    document = parse_document(LINES)
    assert document.written(("rules", 0, "verbs", 1)) == "on"
    assert document.written(("rules", 0)) is None
    assert document.written(("rules", 9)) is None


def test_paths_are_written_as_the_api_server_writes_them() -> None:
    assert format_path(("rules", 0, "resources", 1, "group")) == "rules[0].resources[1].group"


# --- what a hostile text may cost -------------------------------------------------------------------------------


def bomb(width: int, levels: int) -> str:
    lines = ["a0: &a0 [" + "x," * width + "]"]
    lines += [f"a{n}: &a{n} [" + f"*a{n - 1}," * width + "]" for n in range(1, levels)]
    return "\n".join(lines)


def test_a_yaml_bomb_is_refused_as_go_yaml_refuses_it() -> None:
    assert refusal(bomb(9, 9)) == "document contains excessive aliasing"


def test_ordinary_reuse_of_anchors_is_no_bomb() -> None:
    assert value("n: &n [" + "x," * 8 + "]\nuse: [" + "*n," * 100 + "]")


def test_nesting_is_bounded_in_yaml_json_and_through_aliases() -> None:
    nested = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert value(nested)
    assert "nested" in refusal(f"[{nested}]")
    assert "nested" in refusal("{" + '"a": {' * MAX_DEPTH + "}" * MAX_DEPTH + "}")
    chain = "".join(f"- &a{n} [{f'*a{n - 1}' if n else ''}]\n" for n in range(MAX_DEPTH))
    assert "nested" in refusal(chain)


@pytest.mark.parametrize(
    "text", ["[" * 1_000_000, "{" + '"a":{' * 200_000, "- " * 500_000, "? " * 500_000, "a: {" * 99_999]
)
def test_endless_nesting_is_refused(text: str) -> None:
    assert refusal(text)


def test_large_texts_are_refused_with_their_size() -> None:
    assert str(MAX_BYTES + 1) in refusal("#" * (MAX_BYTES + 1))
    assert value("#" * MAX_BYTES) is None


def test_problems_are_counted_out() -> None:
    assert len(parse_document("k: v\n" * (MAX_PROBLEMS * 3)).problems) == MAX_PROBLEMS


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "' + "x" * 1_000_000,
        '{"a": "' + "\\\\" * 500_000,
        '{"a": ' + "1" * 1_000_000 + "}",
        "a: " + "1" * 1_000_000,
        "a: 0b" + "1" * 1_000_000,
        "a: " + "_1" * 500_000,
        "a: 1e" + "9" * 1_000_000,
        "a: ." + "1_" * 500_000,
        "a: !" + "x" * 1_000_000,
        "[" + "!x ," * 100_000 + "]",
        'a: "' + "\\\\" * 500_000 + "/",
        "\ufeff\n" * 200_000,
        "a: &" + "a" * 1_000_000,
    ],
)
def test_no_text_sends_a_pattern_into_endless_backtracking(text: str) -> None:
    parse_document(text)


@given(st.text() | st.binary() | st.text("{}[]:,&*!?-#|>'\"% \n\tab<1\\\ufeff"))
def test_whatever_the_text_parsing_never_raises(text: str | bytes) -> None:
    document = parse_document(text)
    assert isinstance(document, Document)
    assert document.readable or document.problems


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_json_is_read_back(data: dict[str, object]) -> None:
    text = json.dumps(data)
    readable = json.loads(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))
    assert value(text) == readable


# --- Go's idea of a time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("2001-01-01T10:00:00Z", True),
        ("2001-01-01T1:00:00Z", True),
        ("2001-01-01T10:00:00,5+24:60", True),
        ("2000-02-29T10:00:00.123456789123-05:00", True),
        ("0000-02-29T00:00:00Z", True),
        ("2001-02-29T10:00:00Z", False),
        ("2001-1-01T10:00:00Z", False),
        ("2001-01-01T24:00:00Z", False),
        ("2001-01-01T10:00:60Z", False),
        ("2001-01-01T10:00:00+25:00", False),
        ("2001-01-01T10:00:00", False),
        ("2001-01-01t10:00:00Z", False),
        ("2001-01-01", False),
        ("", False),
    ],
)
def test_metadata_times_are_those_that_go_parses(text: str, *, valid: bool) -> None:
    assert is_rfc3339(text) == valid


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("2001-1-1", True),
        ("2001-01-01t1:2:3Z", True),
        ("2001-1-1   1:2:3.5", True),
        ("2001-01-01 10:00:00Z", False),
        ("2001-13-01", False),
        ("201-01-01", False),
    ],
)
def test_yaml_timestamps_are_those_that_go_yaml_parses(text: str, *, valid: bool) -> None:
    assert is_yaml_timestamp(text) == valid
