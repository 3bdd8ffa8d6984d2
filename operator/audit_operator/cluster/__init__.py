"""The Kubernetes API as the operator uses it: connection, facts, leadership, and the few things that are written.

Nothing above this package sees an HTTP status or imports the Kubernetes client.
"""
