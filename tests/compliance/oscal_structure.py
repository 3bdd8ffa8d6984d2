"""The structure of OSCAL assessment results, as far as ours go: what must be there, what may, and of which form.

Own compilation after src/metaschema/oscal_assessment-results_metaschema.xml, oscal_assessment-common_metaschema.xml and
oscal_metadata_metaschema.xml of usnistgov/OSCAL (c527e40; a work of NIST, public domain). The published JSON schema is
generated from these.
"""

from __future__ import annotations

import re

UUID = r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[45][0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}"
TOKEN = r"[A-Za-z_][A-Za-z0-9._-]*"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
STRING = r"\S(.*\S)?"
TEXT = r"(?s).+"
PROP = {"name!": TOKEN, "ns": r"https?://\S+", "value!": STRING, "uuid": UUID, "class": TOKEN, "remarks": TEXT}
EVIDENCE = {"href": r"\S+", "description!": TEXT, "props": [PROP], "remarks": TEXT}
OBSERVATION = {
    "uuid!": UUID,
    "title": TEXT,
    "description!": TEXT,
    "props": [PROP],
    "methods!": ["EXAMINE|INTERVIEW|TEST|UNKNOWN"],
    "types": [TOKEN],
    "relevant-evidence": [EVIDENCE],
    "collected!": TIME,
    "expires": TIME,
    "remarks": TEXT,
}
FINDING = {
    "uuid!": UUID,
    "title!": TEXT,
    "description!": TEXT,
    "props": [PROP],
    "target!": {
        "type!": "statement-id|objective-id",
        "target-id!": TOKEN,
        "title": TEXT,
        "description": TEXT,
        "props": [PROP],
        "status!": {"state!": "satisfied|not-satisfied", "reason": TOKEN, "remarks": TEXT},
        "remarks": TEXT,
    },
    "related-observations": [{"observation-uuid!": UUID}],
    "remarks": TEXT,
}
CONTROLS = {
    "description": TEXT,
    "control-selections!": [
        {
            "description": TEXT,
            "include-all": {},
            "include-controls": [{"control-id!": TOKEN, "statement-ids": [TOKEN]}],
            "remarks": TEXT,
        }
    ],
    "remarks": TEXT,
}
RESULT = {
    "uuid!": UUID,
    "title!": TEXT,
    "description!": TEXT,
    "start!": TIME,
    "end": TIME,
    "props": [PROP],
    "reviewed-controls!": CONTROLS,
    "observations": [OBSERVATION],
    "findings": [FINDING],
    "remarks": TEXT,
}
DOCUMENT = {
    "assessment-results!": {
        "uuid!": UUID,
        "metadata!": {
            "title!": TEXT,
            "last-modified!": TIME,
            "version!": STRING,
            "oscal-version!": r"1\.1\.\d+",
            "props": [PROP],
            "remarks": TEXT,
        },
        "import-ap!": {"href!": r"\S+", "remarks": TEXT},
        "results!": [RESULT],
        "back-matter": {"resources": [{"uuid!": UUID, "title": TEXT, "description": TEXT}]},
    }
}


def faults(value, form=DOCUMENT, path="$"):
    """What is missing, is too much or is of another form."""
    if isinstance(form, str):
        if not (isinstance(value, str) and re.fullmatch(form, value)):
            yield f"{path}: {value!r} is not {form}"
    elif isinstance(form, list):
        if not (isinstance(value, list) and value):
            yield f"{path}: must be a list, and not empty"
            return
        for number, each in enumerate(value):
            yield from faults(each, form[0], f"{path}[{number}]")
    else:
        members = {name.rstrip("!"): (each, name.endswith("!")) for name, each in form.items()}
        yield from (f"{path}.{name}: unknown" for name in value if name not in members)
        for name, (each, required) in members.items():
            if name in value:
                yield from faults(value[name], each, f"{path}.{name}")
            elif required:
                yield f"{path}.{name}: missing"
