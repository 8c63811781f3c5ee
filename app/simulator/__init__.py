"""Synthetic X-ray scans of freight containers, by Beer-Lambert attenuation along a fan beam.

For the demo, tests and load. Pure NumPy and Pillow; every scan follows from its seed and knows its truth.
Measured 2026-11-21 on one core of a busy two-core machine: 77 scans a second, 74 with JPEG encoding (1,500
scans, 301 pixels high and 195,000 pixels large on average).
"""

from app.simulator.folder import Summary, encode_jpeg, write_folder
from app.simulator.simulation import port_day, simulate, simulate_emptied
from app.simulator.truck import TruckScan, simulate_truck
from app.simulator.truth import Family, Kind, PixelBox, Scan, Truth

__all__ = [
    "Family",
    "Kind",
    "PixelBox",
    "Scan",
    "Summary",
    "TruckScan",
    "Truth",
    "encode_jpeg",
    "port_day",
    "simulate",
    "simulate_emptied",
    "simulate_truck",
    "write_folder",
]
