"""What crm decides, as pure functions: which state may follow which, what a customer is promised, who comes next.

Nothing here knows a channel, a model, a queue or the network; times are arguments.
"""

from crm.policy.alerts import AlertKind
from crm.policy.calls import (
    CUT_CALLED_BACK_WITHIN,
    TOLD_IN_ANY_ORDER_FOR,
    TRIED_BEFORE_WRITING,
    AfterCall,
    CallEventKind,
    CallState,
    Course,
    EndedBy,
    Happened,
    after_call,
    course_of,
    unfinished,
)
from crm.policy.conversations import (
    CONVERSATION_NEXT,
    ConversationState,
    Direction,
)
from crm.policy.lag import (
    LAG_BUDGETS,
    TYPED_IN_WITHIN,
    Lag,
    TimeFrom,
    trusted_spoke_at,
    why_late,
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
    PromiseDue,
    PromiseKind,
    PromiseState,
    appended,
    default_promises,
    earliest,
    may_close,
    next_answer_promise,
    next_news_promise,
    promises_an_answer_keeps,
)
from crm.policy.queue import (
    QueueClass,
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
    "ATTEMPTS_BEFORE_PARKING",
    "CONFIRMATION_WITHIN",
    "CONVERSATION_NEXT",
    "CUT_CALLED_BACK_WITHIN",
    "FIRST_RESPONSE_WITHIN",
    "LAG_BUDGETS",
    "NEXT_UPDATE_WITHIN",
    "OUTGOING_NEXT",
    "SENDING_GIVEN_UP_AFTER",
    "TOLD_IN_ANY_ORDER_FOR",
    "TRIED_BEFORE_WRITING",
    "TYPED_IN_WITHIN",
    "AfterCall",
    "AlertKind",
    "CallEventKind",
    "CallState",
    "ConversationState",
    "Course",
    "Direction",
    "EndedBy",
    "Happened",
    "Lag",
    "MessageKind",
    "OutgoingState",
    "PromiseDue",
    "PromiseKind",
    "PromiseState",
    "QueueClass",
    "Role",
    "StopFacts",
    "TimeFrom",
    "WorkState",
    "after_call",
    "after_failure",
    "after_unknown_outcome",
    "appended",
    "course_of",
    "default_promises",
    "earliest",
    "may_close",
    "next_answer_promise",
    "next_attempt_at",
    "next_news_promise",
    "owner_for",
    "promises_an_answer_keeps",
    "queue_due",
    "queue_key",
    "reason_to_stop",
    "trusted_spoke_at",
    "unfinished",
    "why_late",
]
