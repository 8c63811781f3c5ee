"""Cargo: each family packs a hold with items."""

from app.simulator.cargo.families import pack
from app.simulator.cargo.hold import Hold, Item

__all__ = ["Hold", "Item", "pack"]
