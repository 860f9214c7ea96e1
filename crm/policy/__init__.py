"""What crm decides, as pure functions: which state may follow which, what a customer is promised, who comes next.

Nothing here knows a channel, a model, a queue or the network; times are arguments.
"""

from crm.policy.adverse import ADVERSE_NEXT, SPEECH_PROTECTED_FOR, AdverseKind, AdverseState
from crm.policy.alerts import AlertKind
from crm.policy.conversations import (
    CONVERSATION_NEXT,
    ConversationState,
    Direction,
)
from crm.policy.endings import (
    MEDIA_BEFORE_QUIET,
    REOPENED_WITHIN,
    TRIES_BEFORE_QUIET,
    DismissalReason,
    HowClosed,
    Verdict,
    has_fallen_silent,
    is_the_same_matter,
    sample,
    still_wanted,
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
from crm.policy.waits import Department
from crm.policy.work import (
    ATTEMPTS_BEFORE_PARKING,
    WorkState,
    after_failure,
    next_attempt_at,
)

__all__ = [
    "ADVERSE_NEXT",
    "ATTEMPTS_BEFORE_PARKING",
    "CONFIRMATION_WITHIN",
    "CONVERSATION_NEXT",
    "FIRST_RESPONSE_WITHIN",
    "MEDIA_BEFORE_QUIET",
    "NEXT_UPDATE_WITHIN",
    "OUTGOING_NEXT",
    "REOPENED_WITHIN",
    "SENDING_GIVEN_UP_AFTER",
    "SPEECH_PROTECTED_FOR",
    "TRIES_BEFORE_QUIET",
    "AdverseKind",
    "AdverseState",
    "AlertKind",
    "ConversationState",
    "Department",
    "Direction",
    "DismissalReason",
    "HowClosed",
    "MessageKind",
    "OutgoingState",
    "PromiseDue",
    "PromiseKind",
    "PromiseState",
    "QueueClass",
    "Role",
    "StopFacts",
    "Verdict",
    "WorkState",
    "after_failure",
    "after_unknown_outcome",
    "appended",
    "default_promises",
    "earliest",
    "has_fallen_silent",
    "is_the_same_matter",
    "may_close",
    "next_answer_promise",
    "next_attempt_at",
    "next_news_promise",
    "owner_for",
    "promises_an_answer_keeps",
    "queue_due",
    "queue_key",
    "reason_to_stop",
    "sample",
    "still_wanted",
]
