"""URLs of the test project."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from tests.project import accounts, views

urlpatterns = [
    path("", views.index),
    path("admin/", admin.site.urls),
    path("upload/", views.upload),
    path("stream/<int:count>/", views.stream),
    path("counter/", views.counter),
    path("echo/", views.echo),
    path("accounts/<str:name>/", accounts.act),
]
