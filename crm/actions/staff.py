"""Colleagues and their rights. What a role may do is this one table."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.utils.translation import gettext as _

from crm import history
from crm.actions import accounts
from crm.language import signatures
from crm.models import ContactPoint, Customer, User
from crm.models.people import ContactKind
from crm.policy import Role

_READS = (
    "crm.view_customer", "crm.view_contactpoint", "crm.view_conversation", "crm.view_interaction", "crm.view_attachment",
    "crm.view_promise", "crm.view_outgoingmessage", "crm.view_historyentry", "crm.view_lifeevent", "crm.view_hold",
    "crm.view_consent", "crm.view_servicecalendar", "crm.view_pull", "crm.view_call", "crm.view_doubt",
    "crm.view_publication", "crm.view_listeningplace", "crm.view_customfield", "crm.view_relationshipstage",
    "crm.view_servicechange", "crm.view_bereavement", "crm.view_householdmember", "crm.view_representative",
    "recovery.view_case", "recovery.view_decision", "recovery.view_policyversion", "recovery.view_policyrule",
)  # fmt: skip
_GUARDS = (
    "crm.view_adverseact", "crm.view_dismissal", "crm.view_closing", "crm.view_internalwait", "crm.view_publicpost",
    "crm.view_postjudgement", "recovery.view_grant", "recovery.view_treatmentexception", "recovery.view_policyproposal",
    "recovery.view_ledgerweek", "recovery.view_empowermentgap", "recovery.view_casereview",
)  # fmt: skip
_ANSWERS = (
    "crm.answer_conversation", "crm.log_call", "crm.report_calls", "crm.prepare_adverse", "crm.judge_post",
    "crm.check_listeningplace", "crm.join_conversations", "crm.merge_customers", "crm.note_stage",
    "crm.record_service_change", "crm.ask_erasure", "recovery.open_case", "recovery.resolve_case", "recovery.give_remedy",
    "recovery.review_case", "recovery.link_cases", "recovery.grade_again", "crm.ask_removal",
)  # fmt: skip
_SECOND_PERSON = (
    "crm.confirm_adverse", "crm.audit_dismissal", "crm.audit_judgement", "crm.release_public_answer",
    "recovery.approve_exception", "recovery.decide_proposal", "crm.agree_removal",
)  # fmt: skip
_LOOKS_AFTER_WORK = (
    "crm.release_outgoing", "crm.retry_work", "crm.view_workitem", "crm.view_dutyrun", "crm.view_rawitem",
    "crm.view_source", "crm.view_mailbox", "crm.view_channelaccount", "crm.view_setaside", "crm.view_deliveryevent",
    "crm.view_feed", "crm.view_webform",
)  # fmt: skip
_DATA = ("crm.export_customer", "crm.erase_customer", "crm.ask_erasure", "crm.view_erasure", "crm.view_retentionrule")
_PLANS = ("crm.plan_people", "crm.add_servicecalendar")
_AUDITS = (
    "recovery.view_queueday", "recovery.view_parityaudit", "recovery.view_parityfinding", "recovery.run_parityaudit",
    "recovery.view_paritycertificate", "recovery.view_correction",
)  # fmt: skip
_ASKS = ("crm.view_asking", "crm.view_surveyanswer")
_RULES = ("recovery.draft_policy", "recovery.approve_policy")
_GESTURES = ("loyalty.view_gesture", "loyalty.view_programme")

RIGHTS: dict[Role, tuple[str, ...]] = {
    Role.AGENT: _READS + _GUARDS + _ANSWERS,
    Role.LEAD: (
        *_READS, *_GUARDS, *_ANSWERS, *_DATA, *_SECOND_PERSON, *_LOOKS_AFTER_WORK, *_PLANS, *_AUDITS, *_RULES, *_GESTURES,
        "crm.view_how_talks_end", "crm.change_setaside", "crm.open_quarantined", "crm.manage_mailbox",
        "crm.manage_channelaccount", "crm.reveal_reach", "crm.manage_feed", "crm.manage_webform", "crm.import_calls",
        "crm.import_reviews", "crm.manage_listeningplace", "crm.manage_customfield", "crm.view_private_lifeevent",
        "crm.decide_bereavement", "recovery.answer_parityfinding", "crm.import_customers", "crm.export_customers",
        "recovery.publish_paritycertificate", "recovery.agree_correction", "recovery.plan_parityprobe", *_ASKS,
        "crm.run_asking",
    ),
    Role.LOYALTY_MANAGER: (*_READS, *_GESTURES, "loyalty.change_programme"),
    Role.AUDITOR: (
        *_READS, *_GUARDS, "crm.audit_dismissal", "crm.audit_judgement", "crm.change_setaside", *_LOOKS_AFTER_WORK[2:],
        *_AUDITS, *_GESTURES, *_ASKS, "recovery.grade_again", "recovery.plan_parityprobe", "crm.view_erasure",
        "crm.view_retentionrule",
    ),
    Role.ADMINISTRATOR: (
        *_READS, *_LOOKS_AFTER_WORK, *_PLANS, *_AUDITS, *_RULES, *_GESTURES, *_DATA, "crm.set_retention", "crm.view_user",
        "crm.add_user", "crm.change_user", "auth.view_group", "crm.change_source", "crm.manage_mailbox",
        "crm.manage_channelaccount", "crm.manage_feed", "crm.manage_webform", "crm.import_calls", "crm.import_reviews",
        "crm.import_customers", "crm.export_customers", "crm.manage_listeningplace", "crm.manage_customfield",
        "recovery.publish_paritycertificate",
    ),
}  # fmt: skip


@transaction.atomic
def write_roles() -> None:
    """Bring the groups in the database in line with the table above. Safe to repeat; done after every migration."""
    known = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.filter(
            content_type__app_label__in=["auth", "crm", "loyalty", "recovery"]
        ).select_related("content_type")
    }
    for role, rights in RIGHTS.items():
        group, _new = Group.objects.get_or_create(name=role.value)
        group.permissions.set([known[right] for right in rights])


@transaction.atomic
def enrol(
    email: str,
    *,
    role: Role,
    name: str,
    password: str | None,
    at: datetime,
    takes_conversations: bool = False,
    by: User | None = None,
) -> User:
    """Make a colleague's account with one role. An address that has an account keeps it and gets the role.

    Raises crm.models.User's IntegrityError when the address belongs to a customer's account.
    """
    standing: User | None = User.objects.filter(email=email.lower()).first()
    user: User = standing or User.objects.create_user(
        email, password, is_staff=True, display_name=name, takes_conversations=takes_conversations, date_joined=at
    )
    accounts.vouch(user)
    user.groups.add(Group.objects.get(name=role.value))
    history.record(None, "staff.enrolled", ref=f"user:{user.public_id}", by=by, at=at, detail={"role": role.value})
    return user


class UnusableSignature(ValueError):
    """Lines that are too many or too long to stand below a name."""

    code = "unusable_signature"


@transaction.atomic
def sign_as(user_id: int, *, signature: str, by: User, at: datetime) -> User:
    """Set the lines below a colleague's name in what customers read from now on; "" for none. Letters already written stay.

    signature: lines of plain text; what cannot be seen or would not be a signature is left out, see signatures.lines.
    Raises User.DoesNotExist (also for a customer's account), UnusableSignature; then nothing has changed.
    """
    lines = signatures.lines(signature)
    if not signatures.is_fitting(lines):
        raise UnusableSignature(
            _("A signature has at most %(lines)d lines of %(letters)d letters, and %(all)d letters together.")
            % {"lines": signatures.MAX_LINES, "letters": signatures.MAX_LINE_CHARS, "all": signatures.MAX_CHARS}
        )
    user: User = User.objects.select_for_update().get(pk=user_id, is_staff=True)
    before, user.signature = user.signature, "\n".join(lines)
    if before != user.signature:
        user.save(update_fields=["signature"])
        history.record(
            None,
            "staff.signature",
            ref=f"user:{user.public_id}",
            by=by,
            at=at,
            detail={"before": before, "after": user.signature},
        )
    return user


@transaction.atomic
def enrol_superuser(email: str, *, name: str, password: str | None, at: datetime) -> User:
    """Make an account with every right, for whoever runs the installation. Raises IntegrityError when the address is taken."""
    user: User = User.objects.create_superuser(email, password, display_name=name, date_joined=at)
    accounts.vouch(user)
    history.record(None, "staff.enrolled", ref=f"user:{user.public_id}", by=None, at=at, detail={"role": "superuser"})
    return user


@transaction.atomic
def enrol_phone_system(email: str, *, name: str, password: str, at: datetime) -> User:
    """Make an account that reports calls and may do nothing else. Raises IntegrityError when the address is taken."""
    system: User = User.objects.create_user(email, password, is_staff=True, display_name=name, date_joined=at)
    accounts.vouch(system)
    system.user_permissions.add(Permission.objects.get(content_type__app_label="crm", codename="report_calls"))
    history.record(
        None, "staff.enrolled", ref=f"user:{system.public_id}", by=None, at=at, detail={"role": "phone_system"}
    )
    return system


@transaction.atomic
def give_app_account(customer: Customer, *, email: str, password: str | None, at: datetime) -> User:
    """Make the account with which a customer uses the app."""
    user: User = User.objects.create_user(
        email, password, customer=customer, display_name=customer.display_name, date_joined=at
    )
    accounts.vouch(user)
    ContactPoint.objects.create(
        customer=customer, kind=ContactKind.APP, address=str(user.public_id), verified_at=at, created_at=at
    )
    history.record(customer, "customer.app_account", ref=f"user:{user.public_id}", by=None, at=at)
    return user
