"""A net taken elsewhere: the whole of crops to keypoints as one ONNX or StableHLO file."""
