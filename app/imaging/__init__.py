"""Bytes to pixels: sniff, bound, decode, prepare. Numerics only; no file name is ever trusted."""

from app.imaging.decode import decode_grey
from app.imaging.formats import FORMATS, Format, sniff
from app.imaging.header import Header, Limits, inspect
from app.imaging.prepare import Box, PreparedRegion, load, load_copies, prepare, prepare_scan
from app.imaging.preprocessing import PROFILES, Preprocessing

__all__ = [
    "FORMATS",
    "PROFILES",
    "Box",
    "Format",
    "Header",
    "Limits",
    "PreparedRegion",
    "Preprocessing",
    "decode_grey",
    "inspect",
    "load",
    "load_copies",
    "prepare",
    "prepare_scan",
    "sniff",
]
