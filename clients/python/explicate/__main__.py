"""`python -m explicate` is the command `explicate`."""

import sys

from explicate.cli import main

sys.exit(main())
