"""What crm stores: people, what they said, what was promised, what leaves, who works here, and what happened."""

from crm.models.accounts import AddressChange, SecondProof
from crm.models.adverse import AdverseAct
from crm.models.alerts import Alert
from crm.models.asking import Ask, Asking, SurveyAnswer
from crm.models.bereavements import Bereavement
from crm.models.calendars import CalendarDay, ServiceCalendar
from crm.models.calls import Call, CallEvent
from crm.models.channels import AwaitedFile, ChannelAccount, MessageChange
from crm.models.closing_lines import ClosingLine
from crm.models.consents import Consent, ConsentProof, ConsentQuestion, Suppression
from crm.models.credits import CreditedPull, QueueCredit
from crm.models.customer_files import CustomerFile, ImportFinding
from crm.models.doors import Feed, FormCount, Publication, WebForm
from crm.models.elsewhere import AnswerElsewhere, Joining
from crm.models.endings import Closing, Continuation, Dismissal, Outreach
from crm.models.fields import CustomField
from crm.models.gates import Gate
from crm.models.history import HistoryEntry
from crm.models.households import Household, HouseholdMember
from crm.models.identity_checks import IdentityCheck
from crm.models.in_public import PublicLook
from crm.models.life import Hold, LifeEvent
from crm.models.listening_places import ListeningGap, ListeningPlace, PlaceCheck
from crm.models.mail import AnswerDraft, DeliveryEvent, Doubt, ReplyToken, SetAside
from crm.models.mailboxes import Mailbox
from crm.models.outgoing import OutgoingMessage
from crm.models.people import ContactPoint, Customer
from crm.models.persons import CustomerImport, ImportedCustomer, Merge, Parting, PersonSuggestion
from crm.models.posts import PostJudgement, PublicPost, Reach, ReachLook
from crm.models.privacy import DataPackage, Erasure, ErasureEntry, Redeemed, RetentionProof, RetentionRule
from crm.models.promises import Promise
from crm.models.queue import HandOff, Helper, OwnerChange, Pull
from crm.models.removals import Removal
from crm.models.representatives import Placement, Representative
from crm.models.rota import Absence, Certificate, RequiredSkill, Shift
from crm.models.search import SearchDue, SearchedCustomer, SearchedMessage, SearchMark
from crm.models.service_changes import Reversal, ServiceChange
from crm.models.sources import Source, SourceGap
from crm.models.staff import User
from crm.models.stages import RelationshipRole, RelationshipStage
from crm.models.statements import Correction, Owed
from crm.models.talk import Attachment, Conversation, Interaction, RawItem
from crm.models.waits import InternalWait
from crm.models.work import DutyRun, WorkItem

__all__ = [
    "Absence",
    "AddressChange",
    "AdverseAct",
    "Alert",
    "AnswerDraft",
    "AnswerElsewhere",
    "Ask",
    "Asking",
    "Attachment",
    "AwaitedFile",
    "Bereavement",
    "CalendarDay",
    "Call",
    "CallEvent",
    "Certificate",
    "ChannelAccount",
    "Closing",
    "ClosingLine",
    "Consent",
    "ConsentProof",
    "ConsentQuestion",
    "ContactPoint",
    "Continuation",
    "Conversation",
    "Correction",
    "CreditedPull",
    "CustomField",
    "Customer",
    "CustomerFile",
    "CustomerImport",
    "DataPackage",
    "DeliveryEvent",
    "Dismissal",
    "Doubt",
    "DutyRun",
    "Erasure",
    "ErasureEntry",
    "Feed",
    "FormCount",
    "Gate",
    "HandOff",
    "Helper",
    "HistoryEntry",
    "Hold",
    "Household",
    "HouseholdMember",
    "IdentityCheck",
    "ImportFinding",
    "ImportedCustomer",
    "Interaction",
    "InternalWait",
    "Joining",
    "LifeEvent",
    "ListeningGap",
    "ListeningPlace",
    "Mailbox",
    "Merge",
    "MessageChange",
    "OutgoingMessage",
    "Outreach",
    "Owed",
    "OwnerChange",
    "Parting",
    "PersonSuggestion",
    "PlaceCheck",
    "Placement",
    "PostJudgement",
    "Promise",
    "PublicLook",
    "PublicPost",
    "Publication",
    "Pull",
    "QueueCredit",
    "RawItem",
    "Reach",
    "ReachLook",
    "Redeemed",
    "RelationshipRole",
    "RelationshipStage",
    "Removal",
    "ReplyToken",
    "Representative",
    "RequiredSkill",
    "RetentionProof",
    "RetentionRule",
    "Reversal",
    "SearchDue",
    "SearchMark",
    "SearchedCustomer",
    "SearchedMessage",
    "SecondProof",
    "ServiceCalendar",
    "ServiceChange",
    "SetAside",
    "Shift",
    "Source",
    "SourceGap",
    "Suppression",
    "SurveyAnswer",
    "User",
    "WebForm",
    "WorkItem",
]
