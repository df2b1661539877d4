"""The block layer: bios, requests, disks, partitions."""
