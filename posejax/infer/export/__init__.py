"""A net taken elsewhere: all from crops to keypoints as an ONNX, TensorFlow Lite or StableHLO file."""
