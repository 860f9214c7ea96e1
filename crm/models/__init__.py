"""What crm stores: people, what they said, what was promised, what leaves, who works here, and what happened."""

from crm.models.adverse import AdverseAct
from crm.models.alerts import Alert
from crm.models.endings import Closing, Continuation, Dismissal, Outreach
from crm.models.history import HistoryEntry
from crm.models.outgoing import OutgoingMessage
from crm.models.people import Consent, ContactPoint, Customer, Hold, LifeEvent
from crm.models.promises import Promise
from crm.models.staff import User
from crm.models.statements import Correction, Owed
from crm.models.talk import Attachment, Conversation, Interaction, RawItem
from crm.models.waits import InternalWait
from crm.models.work import DutyRun, WorkItem

__all__ = [
    "AdverseAct",
    "Alert",
    "Attachment",
    "Closing",
    "Consent",
    "ContactPoint",
    "Continuation",
    "Conversation",
    "Correction",
    "Customer",
    "Dismissal",
    "DutyRun",
    "HistoryEntry",
    "Hold",
    "Interaction",
    "InternalWait",
    "LifeEvent",
    "OutgoingMessage",
    "Outreach",
    "Owed",
    "Promise",
    "RawItem",
    "User",
    "WorkItem",
]
