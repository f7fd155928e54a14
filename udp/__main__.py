"""`python -m udp`."""

import sys

from udp.cli import main

sys.exit(main())
