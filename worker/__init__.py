"""Everything that computes, reads hostile files, or works for long."""

import os

# Read by OpenMP when torch is loaded, so it is said before anything here can load it. Threads that wait for each other
# spin first. Without a bound they starve whoever shares the cores, themselves above all: reading a prompt of 46 tokens
# with two threads took 0.4 to 1.2 s instead of 0.14 s beside two busy processes, and 0.26 to 0.38 s with this one.
# Threads that sleep at once (0.22 s beside others) are slow to wake where nobody else computes (0.21 s).
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
