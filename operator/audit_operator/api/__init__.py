"""The kinds of audit-operator.dev and the words that every other package shares."""
