"""The staff's pages for crm: what is registered with the admin, and the pages people work on all day."""

from crm.admin import adverse, endings, live, outgoing, people, talk, work

__all__ = ["adverse", "endings", "live", "outgoing", "people", "talk", "work"]
