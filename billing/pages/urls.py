"""URLs of the customers' pages under /usage/, except the dashboard (config.customer_dashboard)."""

from django.urls import path

from billing.pages import alerts, choose_account, invitation, login, logs, plan, statements

urlpatterns = [
    path("account/", choose_account.choose, name="switch"),
    path("logs/", logs.log_list, name="logs"),
    path("logs/csv/", logs.log_csv, name="logs-csv"),
    path("logs/<uuid:id>/", logs.log_detail, name="log"),
    path("alerts/", alerts.alert_list, name="alerts"),
    path("alerts/read/", alerts.mark_all_read, name="alerts-read"),
    path("alerts/<uuid:id>/read/", alerts.mark_read, name="alert-read"),
    path("statements/", statements.statement_list, name="statements"),
    path("statements/<uuid:id>/", statements.statement_detail, name="statement"),
    path("statements/<uuid:id>/print/", statements.statement_print, name="statement-print"),
    path("statements/<uuid:id>/csv/", statements.statement_csv, name="statement-csv"),
    path("plan/", plan.plan_page, name="plan"),
    path("plan/csv/", plan.history_csv, name="plan-csv"),
    path("login/", login.LoginView.as_view(), name="login"),
    path("logout/", login.LogoutView.as_view(), name="logout"),
    path("password/", login.PasswordChangeView.as_view(), name="password"),
    path("password/done/", login.PasswordDoneView.as_view(), name="password-done"),
    path("password/reset/", login.ResetView.as_view(), name="reset"),
    path("password/reset/sent/", login.ResetSentView.as_view(), name="reset-sent"),
    path("password/reset/done/", login.ResetDoneView.as_view(), name="reset-done"),
    path("password/reset/<str:uidb64>/<str:token>/", login.ResetConfirmView.as_view(), name="reset-confirm"),
    path("invitation/", invitation.invitation_page, name="invitation"),
    path("invitation/<str:token>/", invitation.follow, name="invitation-follow"),
]
