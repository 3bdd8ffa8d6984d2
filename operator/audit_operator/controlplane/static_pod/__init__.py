"""Kubelet-managed API servers: an agent on each control-plane node edits their manifest.

See docs/design/static-pod.md for who says what to whom, and how a change is undone without the cluster.
"""
