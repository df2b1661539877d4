"""User space of the guest: the C library, and programs. They know system calls and nothing of the kernel."""
