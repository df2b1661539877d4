"""What teaches with the running kernel: figures, labs, patches. May import anything; nothing imports it."""
