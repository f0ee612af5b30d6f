"""The figures that a monitoring system collects, counted from the database at each question.

So every api process tells the same, and nothing is lost when one restarts.
"""
