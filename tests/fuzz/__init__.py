"""A mutation fuzzer for the mail door: 5,000 mails with the tests, 100,000 by `make fuzz`."""
