"""The staff's pages for crm: what is registered with the admin, and the pages people work on all day."""

from crm.admin import live, outgoing, people, talk, work

__all__ = ["live", "outgoing", "people", "talk", "work"]
