"""crm's addresses under /api/v1/."""

from django.urls import path

from crm.api import answers, calls, custom_fields, queue, search, views

urlpatterns = [
    path("me/", views.Me.as_view()),
    path("messages/", views.Messages.as_view()),
    path("conversations/", views.Conversations.as_view()),
    path("conversations/<uuid:public_id>/", views.ConversationDetail.as_view()),
    path("conversations/<uuid:public_id>/messages/", views.ConversationMessages.as_view()),
    path("conversations/<uuid:public_id>/answers/", answers.Answers.as_view()),
    path("conversations/<uuid:public_id>/answers-elsewhere/", answers.AnswersElsewhere.as_view()),
    path("conversations/<uuid:public_id>/draft/", answers.Draft.as_view()),
    path("outgoing/<uuid:public_id>/take-back/", answers.TakeBack.as_view()),
    path("conversations/<uuid:public_id>/notes/", views.Notes.as_view()),
    path("conversations/<uuid:public_id>/close/", views.Close.as_view()),
    path("conversations/<uuid:public_id>/take/", queue.Take.as_view()),
    path("conversations/<uuid:public_id>/put-back/", queue.GiveBack.as_view()),
    path("conversations/<uuid:public_id>/hand-offs/", queue.HandOffs.as_view()),
    path("hand-offs/<uuid:public_id>/accept/", queue.Accept.as_view()),
    path("hand-offs/<uuid:public_id>/decline/", queue.Decline.as_view()),
    path("hand-offs/<uuid:public_id>/withdraw/", queue.Withdraw.as_view()),
    path("queue/next/", queue.Next.as_view()),
    path("search/", search.Search.as_view()),
    path("inbox/", views.Inbox.as_view()),
    path("calls/", views.Calls.as_view()),
    path("call-events/", calls.CallEvents.as_view()),
    path("custom-fields/", custom_fields.CustomFields.as_view()),
    path("customers/", custom_fields.Customers.as_view()),
    path("customers/<uuid:public_id>/fields/", custom_fields.CustomerFields.as_view()),
    path("customers/<uuid:public_id>/timeline/", views.Timeline.as_view()),
]
