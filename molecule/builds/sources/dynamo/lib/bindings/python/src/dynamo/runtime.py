"""Stands in for the Python side of the bindings."""
