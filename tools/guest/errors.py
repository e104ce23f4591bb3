# SPDX-License-Identifier: BSD-2-Clause
"""The exit statuses of run-guest that are not the program's own."""

STATUS_TIMEOUT = 124
STATUS_TOOL = 125
STATUS_PANIC = 126
SIGNAL_BASE = 128


class ToolError(Exception):
    """Something that the user of the tool has to hear of: ends it with status 125."""


class Ended(Exception):
    """The run is over with this exit status; the message, if any, goes to standard error."""

    def __init__(self, status, message=None):
        super().__init__(message)
        self.status = status
        self.message = message
