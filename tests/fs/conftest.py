"""The fixture `world` for the tests of the VFS."""

from tests.fs.world import world  # noqa: F401
