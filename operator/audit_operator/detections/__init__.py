"""Detections: rules of others and our own that look at audit events, and whether they can ever see one that fires them.

A detection that nothing can fire looks exactly like a cluster where nothing happens. So each rule is asked for a
witness: a request, and the event that the policy records of it, such that the rule's condition holds.
"""
