"""`python -m vfslab` is the `vfslab` command."""

import sys

from vfslab.cli import main

sys.exit(main())
