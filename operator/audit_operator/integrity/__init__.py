"""Seals over closed intervals of a store, and what a store's records say about them later."""
