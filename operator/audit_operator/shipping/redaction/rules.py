r"""Patterns of the built-in profiles, each with a cheap test that must hold before it runs.

Rules run over the text of one part of an event: `requestURI` and `userAgent` as they are, everything else as compact
JSON with sorted keys, in which an object in a string stands with its quotes escaped, ``\"password\":\"...\"``. No rule
may match a quote that ends a string, or half an escape: what is left must still be JSON.

`literals` are looked for in the whole line. That costs a tenth of a microsecond if the first character is rare in
events and ten times as much if it is not, so a literal begins where a rare one stands. An expression costs some ten
microseconds a kilobyte, and less than one if it begins with a plain character, for which the collector looks as it does
for literals. What many literals share and most events do not hold is looked for first: see `GUARDS`.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from enum import StrEnum

from audit_operator.api.redaction import RedactionProfile
from audit_operator.shipping.redaction import places

MARKER = "[REDACTED]"

KEPT = "${1}"
"""In a replacement: what the first group matched."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a line holds that is not spelled as the API server spells events, so that literals may be missed.

    Attributes:
        usual: how its lines begin: without spaces.
        literals: escapes that Go's encoder does not write; but the body of a patch is written as it was sent.
        escape: what all numbered escapes begin with.
        escapes: numbered escapes of letters, digits and signs, but for the three that Go's encoder does write.
    """

    usual: str
    literals: tuple[str, ...]
    escape: str
    escapes: str


DOUBTFUL = Doubt(
    usual=r'^\{"[A-Za-z]+":["{\[0-9tfn]',
    literals=(r"\/",),
    escape=r"\u00",
    escapes=r"\\u00(?:2[0-57-9a-fA-F]|3[0-9abdfABDF]|[4-7])",
)


class Scope(StrEnum):
    """Where a rule runs."""

    EVERYWHERE = "everywhere"
    """requestURI, userAgent, annotations, responseStatus and both objects."""
    WORDS = "words"
    """Both objects, and annotations and responseStatus, where these say more than the API server says of every request:
    what refuses a request repeats what it does not like."""
    OBJECTS = "objects"
    """requestObject and responseObject."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern.

    Attributes:
        name: for reports and counts.
        profile: that it belongs to.
        regex: in the dialect that RE2 and Python share.
        literals: the rule runs only where one of them stands in the text.
        folded: whether literals, which then are in lower case, may be spelled in any case.
        gates: where literals tell too little, expressions of which one must match as well; apart, so that each may
            begin with a plain character of its own.
        replacement: KEPT and MARKER are all that it is made of.
        scope: where it runs.
        also: a second expression that must match the text as well; then the whole object is replaced.
    """

    name: str
    profile: RedactionProfile
    regex: str
    literals: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    folded: bool = False
    replacement: str = MARKER
    scope: Scope = Scope.EVERYWHERE
    also: str = ""


_SECRETS, _TOKENS = RedactionProfile.SECRETS, RedactionProfile.TOKENS
_PII, _FINANCIAL = RedactionProfile.PII, RedactionProfile.FINANCIAL

_BEFORE = r'((?:\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt]))+|\b)'
"""Escapes of JSON, all that follow one another: of two backslashes the second begins none. Or the edge of a word."""

GUARDS = ("_", "J", "K", "Basic", "basic", "key", "ken", "cret", "%")
"""Of literals that hold one of these, none stands where it does not."""

_NAMED = (
    "word", "wd", "hrase", "dential",
    'ken":"', 'ken\\"', 'ken","v', 'ken","t', 'cret":"', 'cret\\"', 'cret","v', 'cret","t',
    "_key", "-key", "ikey", "skey", "tkey", "ekey",
    "ken=", "cret=",
)  # fmt: skip
"""One of these stands wherever a rule that goes by the name of a value can match."""

_KEY_END = (
    r"(?i:passw(?:or)?d|passphrase|token|(?:client|app|shared|signing|webhook)[_-]?secret|"
    r"(?:api|access|secret|private)[_-]?key|credentials?)"
)
_ENV_END = r"(?i:passw(?:or)?d|passphrase|token|secret|(?:api|access|secret|private)[_-]?key|credentials?)"

# Content of a string, at the level of the text itself and in an object within a string: there a quote is \" and a
# backslash \\, so that \\\" and \\\\ are its escapes; and &, < and > are those of the text.
_PLAIN = r'(?:[^"\\]|\\(?s:.))+'
_INNER = r'(?:[^"\\]|\\(?:u[0-9a-fA-F]{4}|[/bfnrt])|\\\\(?:\\["\\]|[^"\\]))+'
_SIGN = r"\\+u(?:0026|003[ceCE]|202[89])"
"""&, <, > and line separators as Go's encoder writes them, within texts, too."""
_SPACE = r"\\+[nrt]"
_QUOTE = r'\\(?:\\\\)*"'
"""A quote in a text at any depth: behind an even number of backslashes it would be the end of the text."""
_GAP = r"(?:\s|\\[nrt])*"
"""Between the signs of an object in a text."""

_URL_USER = rf'://(?:[^/\s:@"\\]|{_SIGN})*:'
_URL_PASSWORD = rf'(?:[^/\s"\\]|{_SIGN}|(?:\\\\)+)+@'
_ENCODED = r"(?:[^&\s\"\\%/?#]|%(?:[013-9a-fA-F][0-9a-fA-F]|2[0-9a-eA-E]))"
"""Of a URL in a parameter of another one, in which only a slash ends who is named."""
_ENCODED_USER = r"(?:[^&\s\"\\%/?#:]|%(?:[014-9a-fA-F][0-9a-fA-F]|2[0-9a-eA-E]|3[0-9b-fB-F]))"
"""The same up to a colon, so that one place alone may end it: else as many are tried as there are colons, each to the
end."""
_TELLING = r"(?i:passw(?:or)?d|passphrase|secret|token|[_ -]key|credential)"
_HEADER = r"(?i:(?:[a-z0-9_.-]*[_.-])?(?:authorization|cookie))"
_HEADER_ENDS, _HEADER_ENDS_IN_TEXT = ('zation"', 'kie"'), ('zation\\"', 'kie\\"')
_REFUSED = rf"(?:{_KEY_END}|(?:^|[^A-Za-z])secret)(?:\[[^\]\s\"\\]*\]|\])*"
"""The end of a path, in a message that refuses what stands there."""
_REFUSES = r"(?:: [A-Z][a-z]+ value: | in [a-z]+ must be of type [a-z0-9, ]+: )"


def scopes(part: str) -> frozenset[Scope]:
    """Of the rules that run over a part of an event."""
    if part in places.OBJECTS:
        return frozenset(Scope)
    return frozenset({Scope.EVERYWHERE, Scope.WORDS} if part in places.SAID else {Scope.EVERYWHERE})


def stands(rule: Rule, text: str, low: str) -> bool:
    """Whether one of a rule's literals stands in a text, which `low` is in lower case."""
    return any(literal in (low if rule.folded else text) for literal in rule.literals)


def _private_keys() -> str:
    """Beginnings of private keys in PEM, once more encoded."""
    kinds = ("", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ")
    plain = (f"-----BEGIN {kind}PRIVATE KEY-----".encode() for kind in kinds)
    # The last group of four letters depends on what follows.
    encoded = (base64.b64encode(each)[: len(each) // 3 * 4].decode() for each in plain)
    return f"(?:{'|'.join(encoded)})[A-Za-z0-9+/=_-]*"


_PREFIXED = (
    ("gh", r"gh[pousr]_[A-Za-z0-9]{20,}", ("hp_", "ho_", "hu_", "hs_", "hr_")),
    ("github_pat_", r"github_pat_[A-Za-z0-9_]{20,}", ("_pat_",)),
    ("glpat", r"glpat-[A-Za-z0-9_-]{16,}", ("glpat-",)),
    ("xox", r"xox[abeoprs]-[A-Za-z0-9-]{10,}", ("xox",)),
    ("aws", r"(?:AKIA|ASIA)[0-9A-Z]{16}", ("AKIA", "ASIA")),
    ("google", r"AIza[0-9A-Za-z_-]{35}", ("AIza",)),
    ("google-oauth", r"ya29\.[0-9A-Za-z_-]{20,}", ("ya29.",)),
    ("stripe", r"[rs]k_(?:live|test)_[0-9A-Za-z]{16,}", ("k_live_", "k_test_")),
    ("npm", r"npm_[A-Za-z0-9]{30,}", ("pm_",)),
    ("vault", r"hv[sbr]\.[A-Za-z0-9_-]{20,}", ("hv",)),
    ("openshift", r"sha256~[A-Za-z0-9_-]{20,}", ("~",)),
    ("eks", r"k8s-aws-v1\.[A-Za-z0-9_=-]{20,}", ("ws-v1.",)),
    ("digitalocean", r"do[opr]_v1_[a-f0-9]{40,}", ("_v1_",)),
    ("sendgrid", r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}", ("SG.",)),
    ("age", r"AGE-SECRET-KEY-1[0-9A-Z]{40,}", ("AGE-SECRET-KEY",)),
)

_IBAN_COUNTRIES = (
    "AD|AE|AL|AT|AZ|BA|BE|BG|BH|BR|CH|CY|CZ|DE|DK|EE|ES|FI|FR|GB|GR|HR|HU|IE|IL|IS|IT|KW|LI|LT|LU|LV|MC|MD|ME|MK|MT|NL|"
    "NO|PL|PT|QA|RO|RS|SA|SE|SI|SK|SM|TN|TR|UA"
)
_REST_OF_CARD = "[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}"
_CARDS = (
    f"4[0-9]{{3}}{_REST_OF_CARD}",
    f"5[1-5][0-9]{{2}}{_REST_OF_CARD}",
    f"2[2-7][0-9]{{2}}{_REST_OF_CARD}",
    f"6(?:011|5[0-9]{{2}}){_REST_OF_CARD}",
    "3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5}",
)
_BEYOND_ASCII, _ESCAPED = "\x80-\U0010ffff", r"\\\\u[0-9a-fA-F]{4}"
"""Letters, and how some encoders write them in an object in a text."""
_ACCOUNT_KEY = r"(?i:iban|account[_-]?(?:number|no)|card[_-]?(?:number|no)|cvv2?|cvc|routing[_-]?number|sort[_-]?code)"


def _by_name(name: str, regex: str, replacement: str = KEPT + MARKER, literals: tuple[str, ...] = _NAMED) -> Rule:
    """A rule that takes a value for a secret because of the name that it goes by."""
    return Rule(name, _SECRETS, regex, literals=literals, folded=True, replacement=replacement, scope=Scope.WORDS)


RULES = (
    Rule(
        "nested-secret",
        _SECRETS,
        r"kind[^A-Za-z]{1,16}Secret(?:List)?(?:[^A-Za-z]|$)",
        literals=("Secret",),
        gates=(r"kind[^A-Za-z]{1,16}Secret(?:[^A-Za-z]|List|$)",),
        scope=Scope.OBJECTS,
        also=r"""(?:^|[^A-Za-z]|\\[nrt])(?:data|stringData)\\*["']?\s*:""",
    ),
    Rule(
        "private-key",
        _SECRETS,
        r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----(?:"
        r'(?:[^"\\]|\\(?s:.))*?-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|(?:[^"\\]|\\(?s:.))*)',
        literals=("PRIVATE KEY",),
    ),
    Rule("private-key-base64", _SECRETS, _private_keys(), literals=("LS0tLS1CRUdJTi",)),
    _by_name("secret-by-name", rf'("(?:[^"\\]*{_KEY_END}|secret)":"){_PLAIN}'),
    _by_name(
        "number-by-name",
        r'("[^"\\]*(?i:passw(?:or)?d|passphrase|(?:api|access|secret|private)[_-]?key)":)-?[0-9][0-9.eE+-]*',
        replacement=f'{KEPT}"{MARKER}"',
    ),
    _by_name("secret-by-name-in-text", rf'(\\"(?:[^"\\]*{_KEY_END}|secret)\\"\s*:\s*\\"){_INNER}'),
    _by_name("environment", rf'("name":"[^"\\]*{_ENV_END}",(?:"type":"[^"\\]*",)?"value":"){_PLAIN}'),
    _by_name("patch-by-name", rf'("path":"[^"\\]*{_ENV_END}","value":"){_PLAIN}'),
    _by_name("environment-in-text", rf'(\\"name\\":\\"[^"\\]*{_ENV_END}\\",\\"value\\":\\"){_INNER}'),
    Rule(
        "last-applied",
        _SECRETS,
        rf'(last-applied-configuration"(?::|,"value":)"){_PLAIN}',
        literals=("last-applied-configuration",),
        replacement=f"{KEPT}{MARKER}",
        scope=Scope.OBJECTS,
    ),
    Rule(
        "last-applied-in-text",
        _SECRETS,
        rf'(last-applied-configuration\\"\s*:\s*\\"){_INNER}',
        literals=("last-applied-configuration",),
        replacement=f"{KEPT}{MARKER}",
        scope=Scope.OBJECTS,
    ),
    Rule(
        "last-applied-in-yaml",
        _SECRETS,
        # In YAML, or in a text in a text: where it ends nobody can tell.
        rf"(last-applied-configuration(?:\\(?:\\\\)+\"|'|)\s*:){_PLAIN}",
        literals=("last-applied-configuration",),
        replacement=f"{KEPT}{MARKER}",
        scope=Scope.OBJECTS,
    ),
    Rule(
        "refused-value",
        _SECRETS,
        rf'({_REFUSED}{_REFUSES}\\"){_INNER}',
        literals=("value: ", "must be of type"),
        replacement=f"{KEPT}{MARKER}",
    ),
    Rule(
        "refused-object",
        _SECRETS,
        rf"({_REFUSED}{_REFUSES})(?:\{{|\[(?:[^R\"\\]|\\)|-?[0-9])(?:{_PLAIN})?",
        literals=("value: ", "must be of type"),
        replacement=f"{KEPT}{MARKER}",
    ),
    Rule(
        "refused-field",
        _SECRETS,
        rf'("field":"[^"\\]*{_REFUSED}","message":"){_PLAIN}',
        literals=('"field":"',),
        replacement=f"{KEPT}{MARKER}",
    ),
    _by_name(
        "header",
        rf'("{_HEADER}":"|"name":"{_HEADER}","value":"){_PLAIN}',
        literals=_HEADER_ENDS,
    ),
    _by_name(
        "headers",
        rf'("{_HEADER}":\[")(?:{_PLAIN})?(?:","(?:{_PLAIN})?)*',
        literals=_HEADER_ENDS,
    ),
    _by_name(
        "header-in-text",
        rf'(\\"(?:name\\"{_GAP}:{_GAP}\\"{_HEADER}\\"{_GAP},{_GAP}\\"value|{_HEADER})\\"{_GAP}:{_GAP}\\"){_INNER}',
        literals=_HEADER_ENDS_IN_TEXT,
    ),
    _by_name(
        "headers-in-text",
        rf'(\\"{_HEADER}\\"{_GAP}:{_GAP}\[{_GAP}\\")(?:{_INNER})?(?:\\"{_GAP},{_GAP}\\"(?:{_INNER})?)*',
        literals=_HEADER_ENDS_IN_TEXT,
    ),
    _by_name("assigned", rf"((?:{_KEY_END}|_SECRET|_secret)=(?:{_QUOTE}|')?)(?:[^\s\"\\,;]|{_SIGN})+"),
    _by_name(
        "refused-in-prose",
        # Of a ValidatingAdmissionPolicy, whose author may put in any value; the whole annotation, with several of them.
        rf'(validation_failure":")(?:{_PLAIN})?{_TELLING}(?:{_PLAIN})?',
        literals=("_failure",),
    ),
    Rule(
        "password-in-encoded-url",
        _SECRETS,
        f"((?i:%3A%2F%2F){_ENCODED_USER}*(?::|%3[aA])){_ENCODED}*(?:@|%40)",
        literals=("%2F%2F", "%2f%2f", "%2F%2f", "%2f%2F"),
        replacement=f"{KEPT}{MARKER}@",
    ),
    Rule(
        "password-in-url",
        _SECRETS,
        f"({_URL_USER}){_URL_PASSWORD}",
        gates=(_URL_USER + _URL_PASSWORD,),
        literals=("@",),
        replacement=f"{KEPT}{MARKER}@",
    ),
    Rule(
        "jwt",
        _TOKENS,
        r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
        literals=("yJ",),
    ),
    Rule("jwt-base64", _TOKENS, r"ZXlK[A-Za-z0-9+/_-]{30,}={0,2}", literals=("ZXlK",)),
    Rule(
        "bearer",
        _TOKENS,
        rf"((?:[Bb]earer|BEARER)(?:\s|%20|\+|=|:|{_SPACE}|{_QUOTE})+)[A-Za-z0-9._~+/%=-]{{16,}}",
        literals=("Bearer", "bearer", "BEARER"),
        replacement=f"{KEPT}{MARKER}",
    ),
    Rule(
        "basic",
        _TOKENS,
        rf"((?:[Bb]asic|BASIC)(?:[ \t\n\r]|%20|\+|{_SPACE})+)"
        r"(?:[A-Za-z0-9+/]{16,}|[A-Za-z0-9+/]{6,}=)(?:=|%3[Dd])*",
        literals=(
            "Basic ",
            "Basic%",
            "Basic+",
            "Basic\\",
            "Basic\t",
            "Basic\n",
            "Basic\r",
            "basic ",
            "basic%",
            "basic+",
            "basic\\",
            "basic\t",
            "basic\n",
            "basic\r",
            "BASIC",
        ),
        replacement=f"{KEPT}{MARKER}",
    ),
    Rule(
        "token-by-prefix",
        _TOKENS,
        "|".join(regex for _, regex, _ in _PREFIXED),
        literals=tuple(literal for _, _, literals in _PREFIXED for literal in literals),
    ),
    Rule(
        "bootstrap-token",
        _TOKENS,
        r'(token(?:s/|=| +|%20|%3[Dd]|","|\\",\\"|":"|\\" *: *\\"|: *))[a-z0-9]{6}\.[a-z0-9]{16}\b',
        literals=("ken",),
        gates=(r"token(?:s/|%3d|[^a-z]{1,12})[a-z0-9]{6}\.[a-z0-9]{16}|token[^a-z]{12}",),
        replacement=f"{KEPT}{MARKER}",
    ),
    Rule(
        "e-mail",
        _PII,
        r'((?:\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt]))*)'
        rf"(?:[A-Za-z0-9._%+'{_BEYOND_ASCII}-]|{_ESCAPED}){{1,64}}(?:@|%40)"
        rf"(?:(?:[A-Za-z0-9{_BEYOND_ASCII}-]|{_ESCAPED}){{1,63}}\.)+(?:[A-Za-z{_BEYOND_ASCII}]|{_ESCAPED}){{2,24}}",
        literals=("@", "%40"),
        replacement=f"{KEPT}{MARKER}",
    ),
    Rule(
        "phone",
        _PII,
        rf'((?:^|[\s":,;=(&<>]|{_SPACE}|{_SIGN}))(?:\+|%2B)'
        r"[0-9]{1,3}[ .-]?\(?[0-9]{2,4}\)?(?:[ .-]?[0-9]{2,4}){2,4}\b",
        literals=("+", "%2B"),
        gates=(r"\+[0-9]{1,3}[ .-]?\(?[0-9]{2,4}", r"%2B[0-9]{1,3}[ .-]?\(?[0-9]{2,4}"),
        replacement=f"{KEPT}{MARKER}",
    ),
    Rule(
        "social-security-number",
        _PII,
        _BEFORE + r"[0-9]{3}-[0-9]{2}-[0-9]{4}\b",
        gates=(r"-[0-9]{2}-[0-9]{4}",),
        replacement=f"{KEPT}{MARKER}",
    ),
    Rule(
        "card-number",
        _FINANCIAL,
        rf"{_BEFORE}(?:{'|'.join(_CARDS)})\b",
        gates=_CARDS,
        replacement=f"{KEPT}{MARKER}",
    ),
    Rule(
        "iban",
        _FINANCIAL,
        # Dashes stand before every group or before none: upper-case UUIDs have groups that end within others.
        rf"{_BEFORE}(?:(?:{_IBAN_COUNTRIES})[0-9]{{2}}"
        r"(?:(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?|(?:-[A-Z0-9]{4}){3,7}(?:-[A-Z0-9]{1,3})?)|"
        # In small letters, hashes look like those with letters in their numbers.
        rf"(?:{_IBAN_COUNTRIES.lower()})[0-9]{{2}}"
        r"(?:(?: ?[0-9]{4}){3,7}(?: ?[0-9]{1,3})?|(?:-[0-9]{4}){3,7}(?:-[0-9]{1,3})?))\b",
        gates=(
            r"[A-Z]{2}[0-9]{2}[ -]?[A-Z0-9]{4}[ -]?[A-Z0-9]{4}",
            r"[a-z]{2}[0-9]{2}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}",
        ),
        replacement=f"{KEPT}{MARKER}",
    ),
    Rule(
        "account-by-name",
        _FINANCIAL,
        rf'("[\w./-]*{_ACCOUNT_KEY}":)(?:"{_PLAIN}"|-?[0-9][0-9.eE+-]*)',
        # Not `code":`, which stands in the status of every answer.
        literals=('ban":', 'number":', 'no":', "vv", 'vc":', 'tcode":', 't_code":', 't-code":'),
        folded=True,
        replacement=f'{KEPT}"{MARKER}"',
        scope=Scope.OBJECTS,
    ),
)
