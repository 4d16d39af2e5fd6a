"""What a new run's net starts from."""
