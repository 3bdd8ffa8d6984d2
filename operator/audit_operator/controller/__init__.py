"""The operator at work: facts in, plans delivered, statuses out."""
