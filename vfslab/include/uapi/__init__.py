"""Layouts and numbers that are shared with programs and with other machines."""
