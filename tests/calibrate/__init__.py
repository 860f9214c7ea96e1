"""Does the report keep its word? Simulations of audits with a known answer: `python -m tests.calibrate`."""
