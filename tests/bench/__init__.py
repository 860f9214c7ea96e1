"""Measurements of the goals in docs/performance.md; run by `make bench`, never part of the suite."""
