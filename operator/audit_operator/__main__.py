"""`python -m audit_operator` is `audit-operator`."""

from audit_operator.cli import main

raise SystemExit(main())
