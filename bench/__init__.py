"""The benchmarks of docs/benchmarks.md: `python -m bench`. Linux only, costs come from /proc."""
