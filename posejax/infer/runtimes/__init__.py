"""What runs a net: XLA, onnxruntime, OpenVINO or LiteRT, behind one interface."""
