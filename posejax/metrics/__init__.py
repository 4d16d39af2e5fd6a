"""Metrics: sums that add up over batches and shards, finished on the host."""
