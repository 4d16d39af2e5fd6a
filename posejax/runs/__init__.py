"""What a run is on disk: its work directory, checkpoints, reports. Below training and inference."""
