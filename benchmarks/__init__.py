"""Measurements that need real data and time; run from the root, as `python -m benchmarks.accuracy`."""
