"""Everything that belongs to an incident, out of several stores, in one order and with hashes."""
