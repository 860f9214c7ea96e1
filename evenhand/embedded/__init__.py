"""The PostgreSQL and the Valkey that start when none is configured, and the supervisor that keeps all parts running."""
