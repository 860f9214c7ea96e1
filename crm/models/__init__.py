"""What crm stores: people, what they said, what was promised, what leaves, who works here, and what happened."""

from crm.models.alerts import Alert
from crm.models.calls import Call, CallEvent
from crm.models.history import HistoryEntry
from crm.models.outgoing import OutgoingMessage
from crm.models.people import Consent, ContactPoint, Customer, Hold, LifeEvent
from crm.models.promises import Promise
from crm.models.sources import Source
from crm.models.staff import User
from crm.models.talk import Attachment, Conversation, Interaction, RawItem
from crm.models.work import DutyRun, WorkItem

__all__ = [
    "Alert",
    "Attachment",
    "Call",
    "CallEvent",
    "Consent",
    "ContactPoint",
    "Conversation",
    "Customer",
    "DutyRun",
    "HistoryEntry",
    "Hold",
    "Interaction",
    "LifeEvent",
    "OutgoingMessage",
    "Promise",
    "RawItem",
    "Source",
    "User",
    "WorkItem",
]
