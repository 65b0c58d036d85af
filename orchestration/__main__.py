"""`python -m orchestration` is the same as `jangar-quant`."""

from orchestration.cli import main

main()
