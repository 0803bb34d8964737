"""One outside service each: build the request, read the answer; nothing else."""
