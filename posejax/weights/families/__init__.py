"""The nets of other projects: their names and layouts."""
