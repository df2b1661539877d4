"""What looks at images from outside: dump, hexdump, check."""
