"""What a colleague has to be told at once."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class AlertKind(TextChoices):
    PROMISE_SOON = "promise_soon", _("a promise runs out soon")
    PROMISE_MISSED = "promise_missed", _("a promise was missed")
    NO_OWNER = "no_owner", _("nobody looks after a matter")
    NO_NEXT_STEP = "no_next_step", _("an open matter has no next step")
    OWNERS_CHANGED = "owners_changed", _("a matter had three owners within seven days")
    HAND_OFF_OFFERED = "hand_off_offered", _("a colleague offers you a matter")
    HAND_OFF_LOOP = "hand_off_loop", _("a matter goes back and forth between colleagues")
    CALL_DROPPED = "call_dropped", _("a call ended before it was finished")
    SOURCE_LATE = "source_late", _("messages from a source reach us late")
    DECISION_DIFFERS = "decision_differs", _("a decision comes out differently when decided again")
    ORDER_DIFFERS = "order_differs", _("the order of the queue depended on the channel")
    PLACE_WRONG = "place_wrong", _("a matter stood in the wrong place of the queue")
    CRITICAL_SHARE = "critical_share", _("more matters than usual count as critical harm")
    BEYOND_POLICY = "beyond_policy", _("somebody was given other than the rules say")
    REVIEW_ASKED = "review_asked", _("a customer asks for a second look")
    SECOND_PERSON = "second_person", _("something waits for a second person")
    CERTIFICATE_ENDS = "certificate_ends", _("a certificate runs out soon")
    ADDRESS_BOUNCED = "address_bounced", _("an answer came back: its address is unconfirmed")
    THEY_WROTE_FIRST = "they_wrote_first", _("the customer wrote before your planned answer left; it was stopped")
    MAIL_FLOOD = "mail_flood", _("one address sends more mail than a person would")
    CHANNEL_FLOOD = "channel_flood", _("a provider or one sender posts more than people write")
    MAILBOX_FAILS = "mailbox_fails", _("a mailbox cannot be read")
    CHANNEL_FAILS = "channel_fails", _("an account cannot be asked for what customers say there")
    FILE_INFECTED = "file_infected", _("a file with a virus came in; it is kept apart")
    PARITY_FOUND = "parity_found", _("customers of a channel were treated otherwise than like ones elsewhere")
    SIGNED_OFF = "signed_off", _("an answer given elsewhere names you as having signed it off")
    BEREAVEMENT = "bereavement", _("a death was reported: please write by hand, nothing cheerful")
    MAY_BE_BEREAVEMENT = "bereavement_possible", _("words may tell of a death; please look")
    BEREAVEMENT_DOUBTED = "bereavement_doubted", _("somebody who was reported dead spoke to us; please decide")
    ESTATE = "estate", _("the customer of your matter has died; somebody else may be written to")
    LIFE_MOMENT = "life_moment", _("something in a customer's life was given to you to look after")
    PLACE_UNHEARD = "place_unheard", _("nobody listens where customers talk")
    CHANGE_UNTOLD = "change_untold", _("somebody cannot be told in writing of a change they did not ask for")
    REASON_OVERDUE = "reason_overdue", _("nobody has written why a first answer did not come in time")
    RULE_REVIEW = "rule_review", _("a rule denies or errs too often; please look at it again")
    CASES_UNEQUAL = "cases_unequal", _("two linked cases are alike and did not get the same")
    LEVELS_LAG = "levels_lag", _("customers of a channel wait longer; something is proposed to put it right")
