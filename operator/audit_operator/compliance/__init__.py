"""Controls of frameworks, the evidence that a tool can have of each, and the verdict that the evidence allows."""
