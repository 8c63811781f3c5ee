"""Worker processes: the only ones that load TensorFlow, Keras or OpenVINO."""
