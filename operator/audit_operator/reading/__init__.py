"""Reading records: a small language of typed questions, and a proxy that answers them for whoever may read.

Stores such as VictoriaLogs know no namespaces and no users of the cluster. The proxy stands before one, and lets a
caller read the namespaces in which the API server says that they may; docs/design/reading.md.
"""
