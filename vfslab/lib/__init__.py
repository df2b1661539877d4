"""Containers and bytes: what every layer needs and no layer owns. Imports nothing of vfslab."""
