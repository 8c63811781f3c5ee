"""Features -> probabilities: light scoring here, training frameworks only under `trainers` and `convert`.

The API process imports `scoring`, `artifact`, `recipe` and `metrics`: NumPy, JSON and onnxruntime, nothing else.
"""
