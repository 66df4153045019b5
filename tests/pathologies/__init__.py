"""Labelled training runs: ill ones, and healthy ones that look suspicious.

Every run is small and seeded, exists with its activations as modules and as functions, and its label is measured: an
ill run must do clearly worse than the same run without the fault (or the fault must be seen directly), a healthy one
must learn and keep its units alive. ``python -m tests.pathologies.evaluate`` diagnoses them all and counts.
"""
