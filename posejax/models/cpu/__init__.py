"""What XLA's CPU backend needs to be fast: forms of a computation, and what keeps them apart."""
