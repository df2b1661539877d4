"""Puts a guest together: the only folder that names concrete filesystems and drivers."""
