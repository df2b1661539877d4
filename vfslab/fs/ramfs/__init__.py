"""ramfs: a filesystem made of the VFS's caches alone."""
