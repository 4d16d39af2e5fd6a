"""The keypoints of one person in a crop."""
