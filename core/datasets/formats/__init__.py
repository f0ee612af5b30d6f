"""Streaming readers of uploaded files: strict limits before any parser, and row numbers that are always right."""
