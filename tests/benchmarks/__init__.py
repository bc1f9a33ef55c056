"""What purenet and other libraries cost on the same work: `python tests/benchmarks --help`."""
