"""Readers: one file format each, to arrays by name."""
