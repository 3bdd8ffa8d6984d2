"""Detections as a tenant writes them who wants others to wait: as much as the schema allows, of what costs most."""

from __future__ import annotations

from audit_operator.api.detection import MAX_PATTERNS, FieldTest, Selection
from audit_operator.api.rules import GroupResources

STARS = "*a" * 126
NAMES = tuple(f"{STARS}{number:02}" for number in range(MAX_PATTERNS))
EVERY_RESOURCE = (GroupResources(group="*", resources=("*",)),)
DEEP = "requestObject." + ".".join("a" * 120)

SELECTIONS = {
    "everything": Selection(),
    "never": Selection(
        fields=(FieldTest(path="annotations.x", values=("a",)), FieldTest(path="annotations.x", values=("b",)))
    ),
    "many callers": Selection(users=NAMES, except_users=NAMES[:-1], user_groups=NAMES),
    "plain callers": Selection(
        users=tuple(f"user-{number}" for number in range(MAX_PATTERNS)),
        user_groups=tuple(f"group-{number}" for number in range(MAX_PATTERNS)),
    ),
    "many values of one field": Selection(
        fields=tuple(
            FieldTest(path="userAgent", values=tuple(f"{each}{number}" for each in NAMES)) for number in range(8)
        )
    ),
    "lists of values": Selection(
        fields=tuple(
            FieldTest(path="requestObject.spec.containers.image", values=tuple(f"{each}{number}" for each in NAMES))
            for number in range(8)
        )
    ),
    "deep fields": Selection(fields=tuple(FieldTest(path=f"{DEEP}.{number}", values=NAMES) for number in range(8))),
    "many resources": Selection(
        resources=tuple(
            GroupResources(
                group=f"g{number}",
                resources=tuple(f"r{each}" for each in range(16)),
                resource_names=tuple(f"n{each}" for each in range(16)),
            )
            for number in range(4)
        )
    ),
    "all at once": Selection(
        users=NAMES,
        except_users=NAMES,
        user_groups=NAMES,
        resources=EVERY_RESOURCE,
        except_namespaces=NAMES,
        fields=tuple(FieldTest(path=f"annotations.{number}", values=NAMES) for number in range(8)),
    ),
}
"""By what is bad about it."""
