"""Drivers: what stands behind a disk."""
