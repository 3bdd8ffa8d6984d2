"""Configuration of the OpenTelemetry Collector: OTTL statements, look-ups, pipelines. Pure."""
