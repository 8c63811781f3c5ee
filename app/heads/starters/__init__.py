"""Bundled heads, one ONNX file with its card and report per task."""
