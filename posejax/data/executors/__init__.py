"""What makes batches ahead of the step; all give the same bytes."""
