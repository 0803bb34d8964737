"""The benchmarks of the README; `python -m bench` runs them. Linux only: costs come from /proc."""
