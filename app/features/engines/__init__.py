"""What runs a backbone. Light by itself: the chosen engine's library is imported when it is built."""

from app.features.engines.build import DEVICES, ENGINES, PRECISIONS, build_extractor, choose
from app.features.engines.measure import Measured, measure_chunk

__all__ = ["DEVICES", "ENGINES", "PRECISIONS", "Measured", "build_extractor", "choose", "measure_chunk"]
