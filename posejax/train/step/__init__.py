"""One training step: state, gradient and update, compiled for the devices of a mesh."""
