"""Delivering an audit policy to API servers, and seeing what they really run.

`driver` is the interface. `process` restarts a kube-apiserver on this machine, `configmap` hands the policy to whoever
delivers it. `preflight` asks the real binary whether it would accept a policy. `server` starts an etcd and a
kube-apiserver for the demo and the tests, from the binaries that `assets` provides.
"""
