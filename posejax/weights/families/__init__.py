"""Families: how the published nets of one maker name and shape their weights."""
