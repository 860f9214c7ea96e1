"""What does the order of the queue do to people? Simulated days with the product's own order: `python -m tests.simulate`."""
