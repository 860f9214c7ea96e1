"""What happens in recovery: the only writers of its rows."""

from recovery.actions.arrivals import came_back, confirm
from recovery.actions.audits import (
    AnsweredMeanwhile,
    WrongFindingState,
    answer_finding,
    look_now,
    matters_behind,
    parity_nightly,
)
from recovery.actions.back_pay import NothingOwed, top_up
from recovery.actions.cases import (
    ExplanationMissing,
    FellSilent,
    ReasonMissing,
    SettledBySame,
    UnusableFacts,
    WrongStatus,
    decide,
    dismiss,
    facts_from,
    follow_owner,
    go_quiet,
    open_case,
    own,
    ref_of,
    reopen,
    resolve,
    same_incident,
    triage,
)
from recovery.actions.cells import parity_rollup
from recovery.actions.certificates import certificate_monthly
from recovery.actions.corrections import CorrectionStands, WrongCorrectionState, correct_levels
from recovery.actions.effort import effort_of
from recovery.actions.grants import (
    AlreadyDecided,
    BeyondEntitlement,
    DifferentGrant,
    InsideEntitlement,
    NotForPublic,
    OtherPersonWrote,
    SameApprover,
    UnusableAmount,
    approve_exception,
    decide_proposal,
    grant,
    left_to_give,
    note_gap,
    propose_exception,
    refuse_exception,
)
from recovery.actions.held import HeldForSecondPerson, SawReach
from recovery.actions.joining import CaseTakenOn
from recovery.actions.lanes import (
    work_batch,
)
from recovery.actions.ledger import refresh_ledger
from recovery.actions.links import NotLinkable
from recovery.actions.links import compare_all as compare_linked_cases
from recovery.actions.policies import (
    DraftChangedSinceCheck,
    DraftFailedChecks,
    DraftNotChecked,
    MustStartInFuture,
    NeedsSecondPerson,
    NoSuchRule,
    UnusableRule,
    WrongVersionState,
    approve,
    begin_draft,
    check,
    discard,
    move_rule,
    put_rule,
    remove_rule,
    what_if,
)
from recovery.actions.probes import UnusableProbe, WrongProbe
from recovery.actions.probes import match as match_probes
from recovery.actions.regrading import NothingToGrade, WrongRegrade
from recovery.actions.regrading import draw as draw_regrades
from recovery.actions.replay import (
    REPLAYED_AT_ONCE,
    logger,
    replay_decisions,
    sample_of_settled,
)
from recovery.actions.response_times import measure_response_times
from recovery.actions.reviews import (
    HadAPart,
    WrongReview,
    ask_for_review,
    finish_review,
    judge,
    take_review,
)
from recovery.actions.rule_reviews import AlreadyLookedAt, ask_for_rule_reviews, decide_rule_review, measured
from recovery.actions.second_persons import approve_held, refuse_held
from recovery.actions.shadow import (
    channel_swap_shadow,
)
from recovery.actions.teaching import in_words, newest_teaching, what_we_teach
from recovery.actions.watching import add_day, parity_sequential, series
from recovery.actions.weighing import probe_series, weigh_probes

__all__ = [
    "REPLAYED_AT_ONCE",
    "AlreadyDecided",
    "AlreadyLookedAt",
    "AnsweredMeanwhile",
    "BeyondEntitlement",
    "CaseTakenOn",
    "CorrectionStands",
    "DifferentGrant",
    "DraftChangedSinceCheck",
    "DraftFailedChecks",
    "DraftNotChecked",
    "ExplanationMissing",
    "FellSilent",
    "HadAPart",
    "HeldForSecondPerson",
    "InsideEntitlement",
    "MustStartInFuture",
    "NeedsSecondPerson",
    "NoSuchRule",
    "NotForPublic",
    "NotLinkable",
    "NothingOwed",
    "NothingToGrade",
    "OtherPersonWrote",
    "ReasonMissing",
    "SameApprover",
    "SawReach",
    "SettledBySame",
    "UnusableAmount",
    "UnusableFacts",
    "UnusableProbe",
    "UnusableRule",
    "WrongCorrectionState",
    "WrongFindingState",
    "WrongProbe",
    "WrongRegrade",
    "WrongReview",
    "WrongStatus",
    "WrongVersionState",
    "add_day",
    "answer_finding",
    "approve",
    "approve_exception",
    "approve_held",
    "ask_for_review",
    "ask_for_rule_reviews",
    "begin_draft",
    "came_back",
    "certificate_monthly",
    "channel_swap_shadow",
    "check",
    "compare_linked_cases",
    "confirm",
    "correct_levels",
    "decide",
    "decide_proposal",
    "decide_rule_review",
    "discard",
    "dismiss",
    "draw_regrades",
    "effort_of",
    "facts_from",
    "finish_review",
    "follow_owner",
    "go_quiet",
    "grant",
    "in_words",
    "judge",
    "left_to_give",
    "logger",
    "look_now",
    "match_probes",
    "matters_behind",
    "measure_response_times",
    "measured",
    "move_rule",
    "newest_teaching",
    "note_gap",
    "open_case",
    "own",
    "parity_nightly",
    "parity_rollup",
    "parity_sequential",
    "probe_series",
    "propose_exception",
    "put_rule",
    "ref_of",
    "refresh_ledger",
    "refuse_exception",
    "refuse_held",
    "remove_rule",
    "reopen",
    "replay_decisions",
    "resolve",
    "same_incident",
    "sample_of_settled",
    "series",
    "take_review",
    "top_up",
    "triage",
    "weigh_probes",
    "what_if",
    "what_we_teach",
    "work_batch",
]
