"""Pictures and annotations as files: read, written, and checked."""
