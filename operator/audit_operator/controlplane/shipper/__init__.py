"""Shippers at work: collectors that are kept running with what was planned for them, and what is seen of them."""
