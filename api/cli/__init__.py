"""The command line `verbatim`. `replay` talks HTTP, all other commands to Redis and PostgreSQL."""
