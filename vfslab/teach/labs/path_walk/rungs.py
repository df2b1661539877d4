"""Functions as they are after an early step, before a later step asks for them again. The last form is the package's."""
