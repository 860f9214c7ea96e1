"""The one table of what is personal: for every column that can hold words, a file or something that identifies, what erasing does.

crm reads this table through settings and never imports it. A text, JSON, array, file or binary column of a table that is not said
here stops the tests (tests/architecture/test_personal.py), and so does a relation that leads from a row to a person and is missing.

Adding a line. A table that hangs on a customer says in `whose` by which relation, and each of its columns stands in exactly one of
`empties`, `words`, `own`, `files`, `shrinks` and `keeps`; or the whole row goes (`removed`). A table that says nothing about any
customer stands in IMPERSONAL with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

VERSION = 1
"""Counted up whenever erasing would do something else; each erasure notes by which version it was done."""

GONE = "erased"
"""What stands where words were that a constraint wants to be there."""


@dataclass(frozen=True, slots=True)
class Table:
    """What becomes of the rows of one table when the person is erased.

    whose: relations from a row to the customer, as a query names them; a row that one of them leads from is the person's.
    by_address: columns that name the person by their address where no relation does (a caller who never became a matter).
    removed: why the whole row goes; "" where it stays, without what identifies.
    empties: column -> what stands there afterwards. words: columns in which GONE stands where something stood. own: unique columns
    that get the row's own key. files: columns whose file is removed from the storage. shrinks: JSON of which only ids, numbers,
    times and codes stay. keeps: column -> why it stays. untold: why a look beforehand does not count these rows; "" where it does.
    told_once: what has to hold of a row, as a query names it, before it stands in a copy of their data; {} where it always does.
    """

    whose: tuple[str, ...] = ()
    by_address: tuple[str, ...] = ()
    removed: str = ""
    empties: Mapping[str, Any] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    shrinks: tuple[str, ...] = ()
    keeps: Mapping[str, str] = field(default_factory=dict)
    untold: str = ""
    told_once: Mapping[str, str] = field(default_factory=dict)


_MATTER = ("conversation__customer",)
_SAID = ("interaction__conversation__customer",)
_CASE = ("case__customer",)
_DRAWN = ("regrade__conversation__customer",)
_DOOR = "says through which door, which is a statistic"
_CODE = "a code of ours"
_IDS = "ids of ours"
_DRAWN_IN_SILENCE = "colleagues who answer are not to know which matters are drawn or agreed tests"
_ONCE = "an id of ours that keeps the same thing from being done twice"

# In this order: what leads to a row is cleared after it.
PERSONAL: dict[str, Table] = {
    "crm.AnswerDraft": Table(whose=_MATTER, removed="words that were never sent"),
    "crm.ReplyToken": Table(whose=_MATTER, removed="the address it was given to may not be written from again"),
    "crm.Reach": Table(whose=("contact_point__customer",), removed="what a platform told about them"),
    "crm.AddressChange": Table(whose=("user__customer",), removed="two addresses of theirs"),
    "crm.SecondProof": Table(whose=("user__customer", "contact_point__customer"), removed="a code to an address of theirs"),
    "crm.LifeEvent": Table(  # the row stays where a household still mourns by it
        whose=("customer",),
        empties={"kind": "other", "precision": "unknown", "year": None, "month": None, "day": None},
        words=("words", "evidence", "decided_because", "taken_back_because"),
    ),
    "crm.Bereavement": Table(
        whose=("customer",),
        words=("evidence", "upheld_because", "ended_because"),
        keeps={"status_before": _CODE, "stopped": "numbers"},
    ),
    "crm.HouseholdMember": Table(whose=("customer",), words=("because", "left_because")),
    "crm.Placement": Table(whose=(*_MATTER, "came_with"), keeps={"points": _IDS}),
    "crm.Representative": Table(
        whose=("principal", "person"), by_address=("address",), words=("name", "address", "evidence", "ended_because")
    ),
    "crm.SurveyAnswer": Table(
        whose=("ask__conversation__customer",), empties={"words": ""}, keeps={"language": "a group, not a person"}
    ),
    "crm.Ask": Table(whose=_MATTER, keeps={"reason": _CODE}),
    "crm.Reversal": Table(whose=("change__customer",), words=("by_hand", "proof")),
    "crm.ServiceChange": Table(
        whose=("customer",),
        empties={"changed_from": "", "changed_to": GONE},
        keeps={"code": _CODE, "system": _DOOR, "key": _ONCE, "currency": "money rows keep the amount"},
    ),
    "crm.RelationshipStage": Table(
        whose=("customer",), empties={"because": GONE}, keeps={"rule": _CODE, "evidence": _IDS}
    ),
    "crm.RelationshipRole": Table(whose=("customer",), words=("evidence",)),
    "recovery.CaseLink": Table(whose=("one__customer", "other__customer"), words=("because",)),
    "crm.PersonSuggestion": Table(whose=("one", "other"), removed="compares what they are called"),
    "crm.AwaitedFile": Table(whose=("attachment__interaction__conversation__customer",), removed="their file elsewhere"),
    "crm.Attachment": Table(
        whose=_SAID,
        empties={"content_id": "", "state": "refused", "is_infected": False, "lease_until": None, "reason": GONE},
        words=("name",),
        files=("file",),
        keeps={"content_type": "a kind of file"},
    ),
    "crm.MessageChange": Table(
        whose=_SAID, empties={"text": "", "text_before": ""}, own=("external_id", "event_id"), keeps={"source": _DOOR}
    ),
    "crm.Publication": Table(
        whose=_SAID, empties={"url": "", "url_key": ""}, keeps={"site": "a place where many people write"}
    ),
    "crm.AnswerElsewhere": Table(whose=_SAID, own=("url", "url_key"), keeps={"site": "a place where many people write"}),
    "crm.Correction": Table(whose=_SAID, empties={"earlier": GONE, "reason": GONE}),
    "crm.PublicPost": Table(whose=_SAID, keeps={"language": "a group, not a person", "account": "an account of ours"}),
    "crm.PostJudgement": Table(whose=("post__interaction__conversation__customer",), words=("words",)),
    "crm.Removal": Table(
        whose=("post__interaction__conversation__customer",), words=("words", "decided_because", "link")
    ),
    "crm.Doubt": Table(whose=_SAID),
    "crm.DeliveryEvent": Table(
        whose=("message__customer",), empties={"reason": ""}, own=("external_id",), keeps={"source": "who told it"}
    ),
    "crm.CallEvent": Table(
        whose=("call__interaction__conversation__customer", "call__written_down__conversation__customer"),
        by_address=("call__caller",),
        empties={"caller": ""},
        keeps={"source": _DOOR, "event_id": "the phone system's own number of the report"},
    ),
    "crm.Call": Table(
        whose=(*_SAID, "written_down__conversation__customer"),
        by_address=("caller",),
        empties={"caller_name": ""},
        words=("caller",),
        own=("external_id",),
        keeps={"source": _DOOR},
    ),
    "crm.Promise": Table(whose=_MATTER, words=("explanation",), keeps={"given_by": "an id of ours or a kind of promise"}),
    "crm.Alert": Table(whose=_MATTER, shrinks=("detail",), keeps={"key": _ONCE}),
    "crm.Joining": Table(whose=("moved__customer", "into__customer"), words=("because",), shrinks=("before",)),
    "crm.Closing": Table(whose=_MATTER, words=("reason",)),
    "crm.ClosingLine": Table(whose=_MATTER, empties={"text": GONE}, words=("because",), keeps={"reason": _CODE}),
    "crm.Continuation": Table(whose=_MATTER),
    "crm.Outreach": Table(whose=_MATTER, empties={"note": GONE}),
    "crm.Dismissal": Table(whose=_MATTER, keeps={"sampled_for": "a month"}),
    "crm.ReachLook": Table(whose=_MATTER, empties={"words": GONE}),
    "crm.PublicLook": Table(
        whose=_MATTER, empties={"digest": "", "because": GONE}, words=("released_because",), keeps={"kinds": _CODE}
    ),
    "crm.Pull": Table(whose=_MATTER),
    "crm.CreditedPull": Table(whose=("pull__conversation__customer",), keeps={"passed_first": _IDS}),
    "crm.IdentityCheck": Table(whose=_MATTER, empties={"digest": ""}, words=("because",)),
    "crm.Helper": Table(whose=_MATTER),
    "crm.HandOff": Table(whose=_MATTER, words=("context_note",)),
    "crm.OwnerChange": Table(whose=_MATTER, empties={"note": GONE}),
    "crm.InternalWait": Table(whose=_MATTER),
    "crm.Owed": Table(
        whose=_MATTER, keeps={"currency": "money rows keep the amount", "acts": _CODE, "given_by": _IDS}
    ),
    "crm.AdverseAct": Table(whose=("customer",), words=("reason", "unrelated_because")),
    "crm.ConsentQuestion": Table(whose=("customer",), words=("evidence",), keeps={"key": "a keyed digest"}),
    "crm.ConsentProof": Table(  # with a stop word it is their own words and number
        whose=("customer",),
        empties={"words": GONE, "network": ""},
        keeps={"purpose": _CODE, "medium": _CODE, "version": _CODE, "language": "a group, not a person"},
    ),
    "crm.Consent": Table(whose=("customer",), empties={"evidence": GONE}, keeps={"purpose": _CODE}),
    "crm.Hold": Table(whose=("customer",), words=("reason",), keeps={"key": _ONCE}),
    "crm.HistoryEntry": Table(
        whose=("customer",),
        shrinks=("detail",),
        keeps={"verb": _CODE, "ref": _IDS, "origin": _CODE},
    ),
    "crm.Merge": Table(
        whose=("gone", "kept"),
        empties={"fields": {}},
        words=("because",),
        keeps={"moved": _IDS, "status_before": _CODE, "withdrawn": _IDS},
    ),
    "crm.Parting": Table(whose=("source", "made"), words=("because",), keeps={"moved": _IDS}),
    "crm.ImportFinding": Table(whose=("upload__brought_by__rows__customer",), removed="rows of a file that name people"),
    "crm.CustomerFile": Table(  # a file that was not brought in yet names nobody we know; it is removed some days after
        whose=("brought_by__rows__customer",),
        empties={"looked": {}},
        words=("reason",),
        files=("file",),
        keeps={"file_name": "what a colleague called it", "table": "names of columns", "counts": "numbers"},
    ),
    "crm.ImportedCustomer": Table(
        whose=("customer",),
        empties={"filled": {}, "claims": [], "taken_back": True},
        own=("external_id",),
        keeps={"source": "which file it came with", "points": _IDS},
    ),
    "loyalty.Gesture": Table(whose=("customer",), words=("reason",), keeps={"key": _ONCE}),
    "recovery.HeldStep": Table(
        whose=_CASE,
        empties={"words": GONE},
        shrinks=("wanted",),
        keeps={"key": _ONCE, "would_be": "amounts and codes", "looks": "who of us looked when"},
    ),
    "recovery.Grant": Table(
        whose=_CASE, empties={"public_words": ""}, keeps={"key": _ONCE, "currency": "money rows keep the amount"}
    ),
    "recovery.PolicyProposal": Table(whose=("exception__case__customer",), words=("reason",)),
    "recovery.TreatmentException": Table(
        whose=_CASE, words=("reason",), keeps={"currency": "money rows keep the amount"}
    ),
    "recovery.EmpowermentGap": Table(whose=_CASE),
    "recovery.CaseReview": Table(whose=_CASE),
    "recovery.RegradeSkip": Table(whose=_DRAWN, keeps={"reason": _CODE}, untold=_DRAWN_IN_SILENCE),
    "recovery.MannerSheet": Table(whose=_DRAWN, untold=_DRAWN_IN_SILENCE),
    "recovery.Grading": Table(
        whose=_DRAWN,
        untold=_DRAWN_IN_SILENCE,
        keeps={
            "facts": "measured facts without words",
            "severity_first": _CODE, "severity": _CODE, "merit_first": _CODE, "merit": _CODE,
        },
    ),
    "recovery.Regrade": Table(whose=_MATTER, keeps={"kind": _CODE, "guess": _DOOR}, untold=_DRAWN_IN_SILENCE),
    "recovery.ProbeEvidence": Table(
        whose=("side__customer",),
        keeps={"metric": _CODE, "channel": _DOOR, "log_es": "numbers"},
        untold=_DRAWN_IN_SILENCE,
    ),
    "recovery.ProbeSide": Table(
        whose=("customer",),
        by_address=("address",),
        empties={"text": GONE},
        own=("address",),
        keeps={"channel": _DOOR, "kind": _CODE},
        untold=_DRAWN_IN_SILENCE,
        told_once={"probe__state": "ended"},  # then their timeline says it too
    ),
    "recovery.Decision": Table(
        whose=_CASE,
        keeps={
            "facts": "measured facts without words; what was owed can be proved by them alone",
            "facts_hash": "a fingerprint of them",
            "entitlement": "amounts and codes",
            "entitlement_hash": "a fingerprint of them",
        },
    ),
    "recovery.Settlement": Table(whose=_CASE, words=("settled_because", "reopened_because")),
    "recovery.Case": Table(
        whose=("customer",),
        empties={"seen_because": [], "custom": {}},
        words=("explanation", "reason", "recourse"),
        keeps={"complaint_type": _CODE},
    ),
    "crm.OutgoingMessage": Table(
        whose=("customer",),
        empties={"address": GONE, "subject": "", "text": "", "html": "", "headers": {}, "provider_id": "", "delivery_reason": ""},
        words=("reason",),
        keeps={"key": _ONCE, "purpose": _CODE, "meets": _CODE, "concerns": _IDS},
    ),
    "crm.RawItem": Table(
        # Cleared by an own step, because one post may carry the words of several people.
        whose=("about__customer",),
        empties={"label": "", "content": b""},
        words=("reason",),
        shrinks=("facts",),
        keeps={
            "source": _DOOR,
            "external_id": "a digest, so that the same delivery does not bring the words back",
            "kind": _CODE,
        },
    ),
    "crm.SetAside": Table(whose=_SAID),
    "crm.Interaction": Table(
        whose=_MATTER,
        empties={"subject": "", "text": "", "full_text": "", "html": "", "message_id": "", "other_address": ""},
        own=("external_id",),
        keeps={"source": _DOOR, "language": "a group, not a person"},
    ),
    "crm.Conversation": Table(whose=("customer",), empties={"subject": ""}, keeps={"skill": _CODE}),
    "account.EmailConfirmation": Table(whose=("email_address__user__customer",), removed="a way into their account"),
    "account.EmailAddress": Table(whose=("user__customer",), removed="their address"),
    "mfa.Authenticator": Table(whose=("user__customer",), removed="a way into their account"),
    "crm.User": Table(
        whose=("customer",),
        empties={
            "password": "!", "is_active": False, "first_name": "", "last_name": "", "display_name": "", "signature": "", "zone": "",
        },
        own=("email",),
    ),
    "crm.ContactPoint": Table(
        whose=("customer",),
        empties={"unconfirmed_because": "", "unconfirmed_since": None, "verified_at": None},
        own=("address",),
    ),
    "crm.DataPackage": Table(
        whose=("customer",), empties={"state": "gone", "lease_until": None}, words=("note", "reason"), files=("file",)
    ),
    "crm.Erasure": Table(
        whose=("customer",),
        empties={"reason": GONE},
        words=("asked_by_words", "trouble"),
        keeps={"stands_in_the_way": _CODE, "records": _IDS, "counts": "numbers", "step": _CODE},
    ),
    "crm.Customer": Table(
        whose=("pk",),
        empties={"display_name": "", "zone": "", "custom": {}},
        keeps={"language": "a group, not a person", "region": "a group, not a person"},
    ),
}  # fmt: skip

SEARCHED: dict[str, tuple[tuple[str, ...], str]] = {
    "recovery.ParityFinding": (
        ("words", "metric", "channel", "versus", "effect"),
        "what colleagues say of it may name somebody",
    ),
    "recovery.Correction": (("words",), "what colleagues say of it may name somebody"),
    "recovery.RuleReview": (("benefit", "code", "quarter"), "what colleagues write of a rule may name somebody"),
    "recovery.ParityProbe": (("title", "consent", "words"), "says who agreed to a test, and how they were thanked"),
    "crm.WorkItem": (("reason",), "holds ids; what went wrong may name somebody"),
    "crm.DutyRun": (("reason",), "what went wrong may name somebody"),
    "crm.Mailbox": (("error",), "what went wrong may name somebody"),
    "crm.ChannelAccount": (("error",), "what went wrong may name somebody"),
    "crm.Feed": (("error",), "what went wrong may name somebody"),
    "admin.LogEntry": (("object_repr", "change_message"), "the admin's own log names what was changed"),
}
"""Tables that belong to nobody, with the columns that are searched for the person's addresses and names, and cleared where they
stand."""

IMPERSONAL: dict[str, str] = {
    "crm.Suppression": "keyed digests of addresses that want nothing; they outlive the person (P10)",
    "crm.SearchedMessage": "words of messages; the database forgets them with the message's own",
    "crm.SearchedCustomer": "words of names; the database forgets them with the name",
    "crm.SearchDue": "numbers",
    "crm.SearchMark": "numbers",
    "crm.CustomField": "names of fields of ours",
    "crm.Asking": "rules of ours: who is asked, where, in which words",
    "crm.Gate": "why nothing new begins",
    "crm.QueueCredit": "minutes by channel",
    "crm.Household": "a number; who belongs to it stands elsewhere",
    "recovery.ParityAudit": "sums by channel",
    "recovery.ParityCertificate": "sums by channel",
    "recovery.Disclosure": "whether certificates stand in public",
    "recovery.ResponseTimes": "sums by channel",
    "recovery.WatchDay": "sums by channel and day",
    "recovery.Teaching": "sums by month",
    "recovery.DayCells": "counts by day, kind and channel",
    "recovery.DaySince": "counts by day, kind and channel",
    "crm.ServiceCalendar": "when we are open",
    "crm.CalendarDay": "when we are open",
    "crm.WebForm": "forms of ours",
    "crm.FormCount": "a keyed digest of a network, another one every day",
    "crm.ListeningPlace": "places where anybody may write",
    "crm.PlaceCheck": "places where anybody may write",
    "crm.ListeningGap": "places where anybody may write",
    "crm.CustomerImport": "the file's name and numbers, no row of it",
    "crm.Source": "where words come from",
    "crm.SourceGap": "where words come from",
    "crm.Shift": "colleagues",
    "crm.Absence": "colleagues",
    "crm.Certificate": "colleagues",
    "crm.RequiredSkill": "colleagues",
    "crm.User_groups": "colleagues",
    "crm.User_user_permissions": "colleagues",
    "crm.ErasureEntry": "a random number, keyed digests and times: what is needed to erase again after a restore",
    "crm.Redeemed": "a keyed digest that says nothing but that something was given once",
    "crm.RetentionRule": "rules of ours",
    "crm.RetentionProof": "numbers",
    "loyalty.Programme": "rules of ours",
    "recovery.PolicyVersion": "rules of ours",
    "recovery.PolicyRule": "rules of ours",
    "recovery.LedgerWeek": "sums",
    "recovery.QueueDay": "ids and sums",
    "recovery.LevellingWeek": "sums by channel",
    "recovery.CreditSwitch": "colleagues",
    "auth.Permission": "rights",
    "auth.Group": "rights",
    "auth.Group_permissions": "rights",
    "auth.User": "not used: accounts are crm.User",
    "contenttypes.ContentType": "names of tables",
    "sessions.Session": "log-ins; the person's are ended by an own step",
}

BEFORE_ERASING: tuple[str, ...] = ("recovery.actions.privacy.in_the_way",)
"""Asked with the keys of the person's records and `at`; each gives codes of what stands in the way, () where nothing does."""

ON_ERASING: tuple[str, ...] = ("loyalty.actions.remember_given",)
"""Called in the transaction that begins an erasure, with the keys of the person's records and `at`, while everything is still
there: what has to outlive it as a keyed digest is written here."""
