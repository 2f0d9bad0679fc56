"""`python -m stent`: the command line."""

import sys

from stent.cli import main

sys.exit(main())
