"""Which critical actions an audit policy records: a catalogue, a verdict per action, and what closes a gap. Pure."""
