"""Penumbra: a feature store and classification service for X-ray scans."""
