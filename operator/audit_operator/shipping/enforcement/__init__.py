"""Exact levels in the shipper: from first-match lists to tables that a shipper can look up. Pure."""
