"""The addresses of the customers' pages, under /usage/; the overview, which shows the service's health too, is config's."""

from django.urls import path

from billing.pages import alerts, choose_account, invitation, login, logs, plan, statements

urlpatterns = [
    path("account/", choose_account.switch, name="switch"),
    path("logs/", logs.page, name="logs"),
    path("logs/csv/", logs.csv, name="logs-csv"),
    path("logs/<uuid:id>/", logs.one, name="log"),
    path("alerts/", alerts.page, name="alerts"),
    path("alerts/read/", alerts.read_all, name="alerts-read"),
    path("alerts/<uuid:id>/read/", alerts.read, name="alert-read"),
    path("statements/", statements.page, name="statements"),
    path("statements/<uuid:id>/", statements.one, name="statement"),
    path("statements/<uuid:id>/print/", statements.printable, name="statement-print"),
    path("statements/<uuid:id>/csv/", statements.csv, name="statement-csv"),
    path("plan/", plan.page, name="plan"),
    path("plan/csv/", plan.history_csv, name="plan-csv"),
    path("login/", login.LoginView.as_view(), name="login"),
    path("logout/", login.LogoutView.as_view(), name="logout"),
    path("password/", login.PasswordChangeView.as_view(), name="password"),
    path("password/done/", login.PasswordDoneView.as_view(), name="password-done"),
    path("password/reset/", login.ResetView.as_view(), name="reset"),
    path("password/reset/sent/", login.ResetSentView.as_view(), name="reset-sent"),
    path("password/reset/done/", login.ResetDoneView.as_view(), name="reset-done"),
    path("password/reset/<str:uidb64>/<str:token>/", login.ResetConfirmView.as_view(), name="reset-confirm"),
    path("invitation/", invitation.page, name="invitation"),
    path("invitation/<str:token>/", invitation.follow, name="invitation-follow"),
]
