"""What crm decides, as pure functions: which state may follow which, what a customer is promised, who comes next.

Nothing here knows a channel, a model, a queue or the network; times are arguments.
"""

from crm.policy.alerts import AlertKind
from crm.policy.calendars import ALWAYS, Calendar, UnusableCalendar
from crm.policy.conversations import (
    CONVERSATION_NEXT,
    ConversationState,
    Direction,
)
from crm.policy.outgoing import (
    OUTGOING_NEXT,
    SENDING_GIVEN_UP_AFTER,
    MessageKind,
    OutgoingState,
    StopFacts,
    after_unknown_outcome,
    reason_to_stop,
)
from crm.policy.promises import (
    CONFIRMATION_WITHIN,
    FIRST_RESPONSE_WITHIN,
    NEXT_UPDATE_WITHIN,
    MissReason,
    PromiseDue,
    PromiseKind,
    PromiseState,
    appended,
    default_promises,
    earliest,
    may_close,
    named_moment,
    next_answer_promise,
    next_news_promise,
    promised,
    promises_an_answer_keeps,
)
from crm.policy.queue import (
    QueueClass,
    critical_share_is_high,
    owner_for,
    queue_due,
    queue_key,
)
from crm.policy.staff import (
    Role,
)
from crm.policy.work import (
    ATTEMPTS_BEFORE_PARKING,
    WorkState,
    after_failure,
    next_attempt_at,
)

__all__ = [
    "ALWAYS",
    "ATTEMPTS_BEFORE_PARKING",
    "CONFIRMATION_WITHIN",
    "CONVERSATION_NEXT",
    "FIRST_RESPONSE_WITHIN",
    "NEXT_UPDATE_WITHIN",
    "OUTGOING_NEXT",
    "SENDING_GIVEN_UP_AFTER",
    "AlertKind",
    "Calendar",
    "ConversationState",
    "Direction",
    "MessageKind",
    "MissReason",
    "OutgoingState",
    "PromiseDue",
    "PromiseKind",
    "PromiseState",
    "QueueClass",
    "Role",
    "StopFacts",
    "UnusableCalendar",
    "WorkState",
    "after_failure",
    "after_unknown_outcome",
    "appended",
    "critical_share_is_high",
    "default_promises",
    "earliest",
    "may_close",
    "named_moment",
    "next_answer_promise",
    "next_attempt_at",
    "next_news_promise",
    "owner_for",
    "promised",
    "promises_an_answer_keeps",
    "queue_due",
    "queue_key",
    "reason_to_stop",
]
