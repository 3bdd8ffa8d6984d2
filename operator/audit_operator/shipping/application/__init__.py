"""Logs that applications write themselves: the standard they are held to, and the collector in their pods. Pure."""
