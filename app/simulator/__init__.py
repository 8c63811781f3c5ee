"""Synthetic X-ray scans of freight containers, by Beer-Lambert attenuation along a fan beam.

For the demo, tests and load. Pure NumPy and Pillow; every scan follows from its seed and knows its truth.
"""

from app.simulator.folder import Summary, encode_jpeg, write_folder
from app.simulator.simulation import port_day, simulate
from app.simulator.truth import Family, Kind, PixelBox, Scan, Truth

__all__ = [
    "Family",
    "Kind",
    "PixelBox",
    "Scan",
    "Summary",
    "Truth",
    "encode_jpeg",
    "port_day",
    "simulate",
    "write_folder",
]
