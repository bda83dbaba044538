"""The published results: lists of runs, what the runs left, and what makes the pages."""
