"""`python -m api.cli`, where the console script is not installed."""

from api.cli.app import main

main()
