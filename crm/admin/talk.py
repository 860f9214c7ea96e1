"""Conversations, promises and what came in, as lists to look things up in; and where crm's own pages live."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from crm.admin import (
    adverse,
    alerts,
    asking,
    bereavements,
    capture,
    channel_accounts,
    closing_lines,
    composer,
    consents,
    coverage,
    custom_fields,
    customer_export,
    customer_files,
    endings,
    feeds,
    forms,
    hours,
    households,
    identity_checks,
    imports,
    listening_places,
    live,
    lives,
    mail,
    mailboxes,
    neglect,
    outgoing,
    persons,
    posts,
    privacy,
    queue,
    reach,
    removals,
    representatives,
    search,
    service_changes,
    signature,
    sources,
    stages,
    team,
)
from crm.admin.base import ReadOnlyAdmin
from crm.admin.calls import log_call
from crm.admin.conversation import conversation
from crm.admin.customer import customer, language, region
from crm.admin.files import apart, attachment
from crm.admin.inbox import inbox
from crm.admin.mail_page import inline_picture, message_page
from crm.admin.promises import promise
from crm.models import Conversation, HistoryEntry, Promise, RawItem

urlpatterns: list[URLPattern] = [
    path("inbox/", inbox, name="inbox"),
    path("conversation/<uuid:public_id>/", conversation, name="conversation"),
    path("conversation/<uuid:public_id>/promise/", promise, name="promise"),
    path("attachment/<uuid:public_id>/", attachment, name="attachment"),
    path("attachment/<uuid:public_id>/apart/", apart, name="attachment_apart"),
    path("attachment/<uuid:public_id>/inline/", inline_picture, name="inline_picture"),
    path("message/<uuid:public_id>/page/", message_page, name="message_page"),
    path("inbox/next/", queue.take_next, name="take_next"),
    path("conversation/<uuid:public_id>/work/", queue.work_on, name="work_on"),
    path("hand-off/<uuid:public_id>/", queue.answer_offer, name="answer_offer"),
    path("people/", team.people, name="people"),
    path("people/skills/", team.skills, name="skills"),
    path("people/<uuid:public_id>/", team.one_of_us, name="one_of_us"),
    path("signature/", signature.my_signature, name="my_signature"),
    path("call/", log_call, name="log_call"),
    *live.urlpatterns,
    *sources.urlpatterns,
    *mail.urlpatterns,
    *mailboxes.urlpatterns,
    *channel_accounts.urlpatterns,
    *capture.urlpatterns,
    *feeds.urlpatterns,
    *listening_places.urlpatterns,
    *forms.urlpatterns,
    *imports.urlpatterns,
    *neglect.urlpatterns,
    *customer_files.urlpatterns,
    *customer_export.urlpatterns,
    *persons.urlpatterns,
    *custom_fields.urlpatterns,
    *service_changes.urlpatterns,
    *asking.urlpatterns,
    *stages.urlpatterns,
    *lives.urlpatterns,
    *bereavements.urlpatterns,
    *households.urlpatterns,
    *representatives.urlpatterns,
    *privacy.urlpatterns,
    *consents.urlpatterns,
    *search.urlpatterns,
    path("customer/<uuid:public_id>/", customer, name="customer"),
    path("customer/<uuid:public_id>/region/", region, name="customer_region"),
    path("customer/<uuid:public_id>/language/", language, name="customer_language"),
    path("alerts/", alerts.alert_list, name="alerts"),
    path("alerts/<int:number>/", alerts.see, name="see_alert"),
    path("hours/", hours.hours, name="hours"),
    path("hours/new/", hours.publish, name="hours_new"),
    path("outgoing/", outgoing.outgoing_mailbox, name="outgoing"),
    path("outgoing/<uuid:public_id>/release/", outgoing.release, name="release"),
    path("outgoing/<uuid:public_id>/cancel/", outgoing.cancel, name="cancel"),
    path("outgoing/<uuid:public_id>/take-back/", composer.take_back, name="take_back"),
    path("conversation/<uuid:public_id>/draft/", composer.keep, name="draft"),
    *endings.urlpatterns,
    *adverse.urlpatterns,
    *posts.urlpatterns,
    *closing_lines.urlpatterns,
    *identity_checks.urlpatterns,
    *coverage.urlpatterns,
    *reach.urlpatterns,
    *removals.urlpatterns,
]


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    """Every conversation, also the ones that no longer wait for us."""

    list_display = ("page", "customer", "state", "owner", "spoke_at", "due_at")
    list_display_links = None
    list_select_related = ("customer", "owner")
    list_filter = ("state",)
    ordering = ("-spoke_at", "-id")

    @admin.display(description=_("conversation"))
    def page(self, found: Conversation) -> SafeString:
        """The subject, as the way to the conversation."""
        return format_html(
            '<a class="eh-link" href="{}">{}</a>', reverse("admin:conversation", args=[found.public_id]), found
        )


@admin.register(Promise)
class PromiseAdmin(ReadOnlyAdmin):
    list_display = ("kind", "conversation", "starts_at", "due_at", "state", "met_at", "given_by")
    list_select_related = ("conversation",)
    list_filter = ("state", "kind")


@admin.register(RawItem)
class RawItemAdmin(ReadOnlyAdmin):
    """What arrived, byte for byte; what could not be read says why."""

    list_display = ("received_at", "label", "source", "kind", "state", "reason")
    list_filter = ("state",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[RawItem]:
        items: QuerySet[RawItem] = super().get_queryset(request)
        return items.defer("content")


@admin.register(HistoryEntry)
class HistoryEntryAdmin(ReadOnlyAdmin):
    list_display = ("at", "verb", "ref", "customer", "by", "origin")
    list_select_related = ("customer", "by")
    search_fields = ("ref__exact",)
    search_help_text = _("The whole reference, for example conversation:…")
