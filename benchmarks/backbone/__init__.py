"""What `python -m benchmarks.backbone_table` is made of: scans, vectors, heads, questions, and the pages written."""
