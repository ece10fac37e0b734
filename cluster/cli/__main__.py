"""`python -m cluster.cli`: the command where it is not installed, as in a submitted job."""

from cluster.cli import main

main()
