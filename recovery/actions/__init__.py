"""What happens in recovery: the only writers of its rows."""

from recovery.actions.cases import (
    ExplanationMissing,
    UnusableFacts,
    WrongStatus,
    confirm,
    decide,
    facts_from,
    follow_owner,
    open_case,
    own,
    ref_of,
    resolve,
    triage,
)
from recovery.actions.lanes import (
    work_batch,
)
from recovery.actions.replay import (
    REPLAYED_AT_ONCE,
    logger,
    replay_decisions,
)

__all__ = [
    "REPLAYED_AT_ONCE",
    "ExplanationMissing",
    "UnusableFacts",
    "WrongStatus",
    "confirm",
    "decide",
    "facts_from",
    "follow_owner",
    "logger",
    "open_case",
    "own",
    "ref_of",
    "replay_decisions",
    "resolve",
    "triage",
    "work_batch",
]
