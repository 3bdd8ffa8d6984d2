"""What runs in an injected container: it brings the collector to what the operator has written, and keeps it running.

Standard library alone, and nothing else of this project: it is in every pod, where every import costs memory.
"""
