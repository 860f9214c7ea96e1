"""Pure text: what is said and how, without models, database or network."""
