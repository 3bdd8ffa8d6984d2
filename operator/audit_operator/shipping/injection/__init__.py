"""Which pods get a sidecar, and what it is: the same as the chart's MutatingAdmissionPolicy says in CEL."""
