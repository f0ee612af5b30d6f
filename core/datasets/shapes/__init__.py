"""Lines that say by themselves what they are: one file a shape, and `registry.py` with all of them."""
