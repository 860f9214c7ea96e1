"""The doors through which programs post to us: mail providers, and providers of every other channel."""

from crm.hooks import channels, mail

urlpatterns = [*mail.urlpatterns, *channels.urlpatterns]
