"""What was answered and what came back since a moment is found without reading every matter: how it stands now."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('crm', '0035_answers_words_can_go'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='closing',
            index=models.Index(condition=models.Q(('reopened_at__isnull', False)), fields=['reopened_at'], name='closing_reopened'),
        ),
        migrations.AddIndex(
            model_name='conversation',
            index=models.Index(condition=models.Q(('first_answer_at__isnull', False)), fields=['first_answer_at'], name='conversation_answered'),
        ),
    ]
