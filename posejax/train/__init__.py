"""How to learn: one loop for every task."""
