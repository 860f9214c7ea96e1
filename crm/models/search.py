"""What messages and customers are found by. Derived like an index: forgotten with the words, and made anew from them."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.utils.translation import gettext_lazy as _


class Searched(models.TextChoices):
    """The tables that can be looked through."""

    MESSAGES = "crm_searchedmessage", _("messages")
    CUSTOMERS = "crm_searchedcustomer", _("customers")


class SearchedMessage(models.Model):
    """The words of one interaction. No relation: a trigger forgets them as soon as the interaction's own words change or go."""

    number = models.BigIntegerField(primary_key=True)  # of the interaction
    at = models.DateTimeField()  # when it was said
    words = SearchVectorField()

    class Meta:
        verbose_name = _("words of a message")
        verbose_name_plural = _("words of messages")
        indexes = [
            models.Index(fields=["at", "number"], name="searched_message_newest"),
            # Written aside, so it may be exact at once: what waits in a list of its own is read through by every search.
            GinIndex(fields=["words"], name="searched_message_words", fastupdate=False),
        ]

    def __str__(self) -> str:
        return str(self.number)


class SearchedCustomer(models.Model):
    """The words of one customer's name; forgotten with it."""

    number = models.BigIntegerField(primary_key=True)  # of the customer
    at = models.DateTimeField()  # known since
    words = SearchVectorField()

    class Meta:
        verbose_name = _("words of a name")
        verbose_name_plural = _("words of names")
        indexes = [
            models.Index(fields=["at", "number"], name="searched_customer_newest"),
            GinIndex(fields=["words"], name="searched_customer_words", fastupdate=False),
        ]

    def __str__(self) -> str:
        return str(self.number)


class SearchDue(models.Model):
    """A row whose words have changed and are to be read anew. Written by the trigger that forgets the old ones."""

    of = models.CharField(max_length=32, choices=Searched)
    number = models.BigIntegerField()

    class Meta:
        verbose_name = _("words to be read anew")
        verbose_name_plural = _("words to be read anew")
        constraints = [models.UniqueConstraint(fields=["of", "number"], name="search_due_once")]

    def __str__(self) -> str:
        return f"{self.of} {self.number}"


class SearchMark(models.Model):
    """How far a table has been read: everything up to `ahead`, but not yet the past, which lies at or below `behind`."""

    of = models.CharField(max_length=32, choices=Searched, unique=True)
    ahead = models.BigIntegerField()
    behind = models.BigIntegerField()

    class Meta:
        verbose_name = _("how far has been read")
        verbose_name_plural = _("how far has been read")
        constraints = [
            models.CheckConstraint(condition=models.Q(behind__lte=models.F("ahead")), name="search_mark_in_order")
        ]

    def __str__(self) -> str:
        return f"{self.of} {self.behind}–{self.ahead}"
