"""TensorFlow as this project uses it: it moves bytes on the host. The one place that imports it.

Import `tf` from here, before anything else imports TensorFlow.
"""

import os

# Its start-up notes are nothing a user can act on; they must be turned off before the first import.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')

import tensorflow as tf

# It would take the accelerators' memory at its first operation.
tf.config.set_visible_devices([], 'GPU')

__all__ = ['tf']
