"""`python -m explicate` is the command `explicate`."""

import sys

from explicate.cli.main import main

sys.exit(main())
