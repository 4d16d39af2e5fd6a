"""A JAX function as a TensorFlow Lite model: a rule for every primitive, and the FlatBuffer."""
