"""Training a backbone on simulated scans with their truth and on films without labels.

Light by itself: only `python -m app.features.pretraining` imports the modules that load Keras.
"""
