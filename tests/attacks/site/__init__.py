"""The site under attack: the least that Django and django_bolt need, and an endpoint for each attack."""
