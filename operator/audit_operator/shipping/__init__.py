"""From policies to a shipper's configuration: what is enforced on each event, redacted, and sent where. Pure."""
