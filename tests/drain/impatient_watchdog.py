"""Included by a worker (`celery --include`), makes it take itself for deaf after 5 s, not 30 s."""

from workers import watchdog

watchdog.DEAF_SECONDS = 5.0  # type: ignore[misc]
