"""The audit policy language: load, evaluate, compose, lint and explain. Pure: no I/O, no clock."""
