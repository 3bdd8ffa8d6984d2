"""How long records are kept: what policies together demand, and what may be done about it."""
