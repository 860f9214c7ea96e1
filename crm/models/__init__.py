"""What crm stores: people, what they said, what was promised, what leaves, who works here, and what happened."""

from crm.models.alerts import Alert
from crm.models.calendars import CalendarDay, ServiceCalendar
from crm.models.history import HistoryEntry
from crm.models.outgoing import OutgoingMessage
from crm.models.people import Consent, ContactPoint, Customer, Hold, LifeEvent
from crm.models.promises import Promise
from crm.models.queue import HandOff, Helper, OwnerChange, Pull
from crm.models.rota import Absence, Certificate, RequiredSkill, Shift
from crm.models.staff import User
from crm.models.talk import Attachment, Conversation, Interaction, RawItem
from crm.models.work import DutyRun, WorkItem

__all__ = [
    "Absence",
    "Alert",
    "Attachment",
    "CalendarDay",
    "Certificate",
    "Consent",
    "ContactPoint",
    "Conversation",
    "Customer",
    "DutyRun",
    "HandOff",
    "Helper",
    "HistoryEntry",
    "Hold",
    "Interaction",
    "LifeEvent",
    "OutgoingMessage",
    "OwnerChange",
    "Promise",
    "Pull",
    "RawItem",
    "RequiredSkill",
    "ServiceCalendar",
    "Shift",
    "User",
    "WorkItem",
]
