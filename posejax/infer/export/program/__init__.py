"""A traced program, as everything that writes one into a file walks it."""
