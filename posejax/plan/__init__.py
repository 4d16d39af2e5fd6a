"""What a training step will cost on devices that are not here: compiled for them, and modelled."""
