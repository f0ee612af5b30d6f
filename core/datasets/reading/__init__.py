"""Bytes that strangers wrote are read in a process of its own, which may do little and ends soon."""
