"""Files of other projects, read without running anything they hold."""
