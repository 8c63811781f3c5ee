"""Bytes to pixels: sniff, bound, decode, prepare. Numerics only; no file name is ever trusted."""

from app.imaging.augment import load_copies
from app.imaging.decode import decode_grey
from app.imaging.formats import FORMATS, Format, sniff
from app.imaging.header import Header, Limits, inspect
from app.imaging.prepare import load, prepare
from app.imaging.preprocessing import Preprocessing

__all__ = [
    "FORMATS",
    "Format",
    "Header",
    "Limits",
    "Preprocessing",
    "decode_grey",
    "inspect",
    "load",
    "load_copies",
    "prepare",
    "sniff",
]
