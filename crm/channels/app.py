"""Our own mobile app: what we answer is shown in the app as soon as it is handed over."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from crm.channels.sending import Handed, Outbound, Outcome


class AppSender:
    """Hands answers to the customer's app. The app reads them from our API, so handing over is showing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def send(self, outbound: Outbound, *, still: Callable[[], bool] = lambda: True) -> Handed:
        """Accept: the answer stands in the conversation that the app shows."""
        return Handed(Outcome.ACCEPTED if still() else Outcome.KEPT)
