"""Backbones: pictures to feature maps at several strides."""
