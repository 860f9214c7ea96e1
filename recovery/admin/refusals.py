"""What recovery's actions may answer instead of acting; each says in its words what stands in the way."""

from __future__ import annotations

from crm.admin import pages
from recovery import actions

REFUSALS: tuple[type[Exception], ...] = (
    *pages.REFUSALS,
    actions.AlreadyDecided,
    actions.AlreadyLookedAt,
    actions.BeyondEntitlement,
    actions.CaseTakenOn,
    actions.CorrectionStands,
    actions.DifferentGrant,
    actions.ExplanationMissing,
    actions.FellSilent,
    actions.HadAPart,
    actions.HeldForSecondPerson,
    actions.InsideEntitlement,
    actions.NotForPublic,
    actions.NotLinkable,
    actions.NothingToGrade,
    actions.NothingOwed,
    actions.OtherPersonWrote,
    actions.ReasonMissing,
    actions.SameApprover,
    actions.SawReach,
    actions.SettledBySame,
    actions.UnusableAmount,
    actions.UnusableFacts,
    actions.UnusableProbe,
    actions.WrongCorrectionState,
    actions.AnsweredMeanwhile,
    actions.WrongFindingState,
    actions.WrongProbe,
    actions.WrongRegrade,
    actions.WrongReview,
    actions.WrongStatus,
)
