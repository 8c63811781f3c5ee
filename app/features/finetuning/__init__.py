"""Training a backbone on labelled scans. Light by itself: only workers import the modules that load TensorFlow."""
