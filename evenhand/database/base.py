"""The database backend that the settings name."""

from __future__ import annotations

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Asks the socket before it asks the server.

    A kept connection is looked at before its first use in a request. When the server has ended it, its socket has
    something to read; a socket with nothing to read is as good as the answer to `SELECT 1`, without the round trip.
    """

    def is_usable(self) -> bool:
        if self.connection is None or self.connection.closed:
            return False
        looked_at = select.poll()
        looked_at.register(self.connection.fileno(), select.POLLIN | select.POLLERR | select.POLLHUP)
        if looked_at.poll(0):
            return super().is_usable()
        return True
