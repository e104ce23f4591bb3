# SPDX-License-Identifier: BSD-2-Clause
"""Started by tools/run-guest."""

import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from guest.run import main  # noqa: E402

sys.exit(main(sys.argv[1:]))
