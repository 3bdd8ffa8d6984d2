"""Coverage and what status says, as one report that can be handed on: JSON, Markdown, HTML. Pure."""
