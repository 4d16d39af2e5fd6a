"""Experiments, one per file: `get_config(arg) -> ConfigDict`."""
