"""Synthetic X-ray scans of freight containers, by Beer-Lambert attenuation along a fan beam.

For the demo, training, tests and load. Pure NumPy and Pillow; every scan follows from its seed and knows its truth.
"""

from app.simulator.folder import Summary, encode_jpeg, write_folder
from app.simulator.order import SCANNER_NAMES, case_of
from app.simulator.profile import Palette, ScannerProfile, Tone
from app.simulator.randomised import RANDOM
from app.simulator.scanners import HELD_OUT_SCANNERS, SCANNERS, TRAINING_SCANNERS
from app.simulator.simulation import port_day, simulate, simulate_emptied, simulate_pair, simulate_views
from app.simulator.truck import TruckScan, simulate_truck
from app.simulator.truth import Case, Family, Kind, PixelBox, Place, Scan, Truth

__all__ = [
    "HELD_OUT_SCANNERS",
    "RANDOM",
    "SCANNERS",
    "SCANNER_NAMES",
    "TRAINING_SCANNERS",
    "Case",
    "Family",
    "Kind",
    "Palette",
    "PixelBox",
    "Place",
    "Scan",
    "ScannerProfile",
    "Summary",
    "Tone",
    "TruckScan",
    "Truth",
    "case_of",
    "encode_jpeg",
    "port_day",
    "simulate",
    "simulate_emptied",
    "simulate_pair",
    "simulate_truck",
    "simulate_views",
    "write_folder",
]
