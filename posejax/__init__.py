"""Human pose estimation in JAX/Flax: models, codecs, metrics, data and one training loop."""

__version__ = '0.1.0'
