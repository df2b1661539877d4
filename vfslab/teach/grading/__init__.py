"""Grading: submissions go in, a table with a reason for each point comes out."""
