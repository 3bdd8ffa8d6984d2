"""What is taken out of events before they leave the node: one model, rendered for the collector and interpreted here.

Structure comes first (`places`): of Secrets, of objects with tokens and of answers about them only what is known to be
harmless stays. Then patterns (`rules`, `own_pattern`), which run only where a cheap test finds something that they
could match. `rendering` writes both in OTTL; `interpreter` does the same to an event in Python, for the command line
and for the tests that compare the two.
"""
