"""Partition tables: what divides a disk.   Linux: block/partitions/."""
