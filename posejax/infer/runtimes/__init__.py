"""What runs a net: XLA, onnxruntime or OpenVINO, behind one interface."""
