"""What frames go out as: films, GIFs, pictures; whole or not there."""
