"""What a frozen dataset is made of: its content digest, splits, near-duplicates and exchange files. Numerics only."""
