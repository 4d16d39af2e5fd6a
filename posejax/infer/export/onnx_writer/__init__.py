"""A JAX function as an ONNX graph: a walk over its jaxpr, and a rule for every primitive."""
