"""Necks: what joins the feature maps of a backbone before a head reads them."""
