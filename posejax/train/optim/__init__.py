"""Which way and how far parameters move: optimisers, schedules, factors by module."""
