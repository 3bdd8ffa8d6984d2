"""Coverage proved live: harmless requests of our own, and whether they are recorded as predicted. Pure."""
