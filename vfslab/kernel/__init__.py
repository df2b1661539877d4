"""Tasks, locks, error numbers, memory for objects, tracing: what is beside the storage stack."""
