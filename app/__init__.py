"""Penumbra: a feature store and classification service for X-ray scans."""

__version__ = "0.1.0"
