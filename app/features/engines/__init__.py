"""What runs a backbone. Light by itself: the chosen engine's library is imported when it is built."""

from app.features.engines.build import ENGINES, build_extractor

__all__ = ["ENGINES", "build_extractor"]
