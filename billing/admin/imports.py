"""Imports of usage files: the list, the upload, and an import's page (preview, check, import, void)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

from auditlog.models import LogEntry
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from billing.admin import import_page
from billing.admin.confirm import confirm
from billing.admin.import_forms import OptionsForm, UploadForm, VoidForm
from billing.corrections import apply_corrections, batch_progress, corrections, import_voids
from billing.errors import Refused
from billing.imports import import_steps, imported_logs, stored_files, uploads
from billing.imports.import_totals import ImportTotals, Refusal
from billing.models import UsageImport
from lib import changelist, csv_stream, rate_limit, retry

URL_PREFIX = "billing_usageimport"
UPLOAD_RATE = "30/hour"  # per operator and process
Move = Callable[[UsageImport], bool]


@admin.register(UsageImport)
class UsageImportAdmin(changelist.ReadOnlyAdmin):
    empty_state = "No imports yet. Choose “Import file” to bring in usage from another system."
    list_display = ("created", "file_name", "actor", "state_badge", "rows", "imported_calls", "cost", "refused")
    list_filter = ("state",)
    search_fields = ("name__icontains", "actor__startswith")
    search_help_text = "Search by part of the file's name or the start of the user name"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - Django's own types
        return bool(request.user.has_perm(uploads.PERMISSION))

    def get_urls(self) -> list[Any]:
        def admin_path(route: str, view: Callable[..., HttpResponseBase], name: str) -> Any:  # noqa: ANN401 - a URL pattern
            return path(route, self.admin_site.admin_view(view), name=f"{URL_PREFIX}_{name}")

        posts: dict[str, Callable[..., HttpResponse]] = {
            "options": self.change_options,
            "check": self.check_file,
            "import": self.start_import,
            "stop": self.stop,
            "continue": self.resume,
            "discard": self.discard,
        }
        return [
            admin_path("upload/", self.upload, "upload"),
            *(admin_path(f"<uuid:pk>/{name}/", require_POST(view), name) for name, view in posts.items()),
            admin_path("<uuid:pk>/progress/", self.progress, "progress"),
            admin_path("<uuid:pk>/refusals/", self.refusals, "refusals"),
            admin_path("<uuid:pk>/logs/", self.logs, "logs"),
            admin_path("<uuid:pk>/void/", self.void, "void"),
            *super().get_urls(),
        ]

    def upload(self, request: HttpRequest) -> HttpResponse:
        """GET shows the form. POST stores the file and redirects to its import's page."""
        _check_permission(request)
        if request.method != "POST":
            return self._upload_page(request, UploadForm())
        data, received = request.POST, request.FILES  # reads the body
        too_large = uploads.is_too_large(request)
        form = UploadForm(data, received, too_large=too_large)
        if not form.is_valid():
            return self._upload_page(request, form, status=413 if too_large else 200)
        user = request.user.get_username()
        if not rate_limit.allow(f"import {user}", UPLOAD_RATE):
            form.add_error("file", "Too many uploads. Wait a few minutes.")
            return self._upload_page(request, form, status=429)
        file = form.cleaned_data["file"]
        try:
            stored = stored_files.store(name=file.name, chunks=file.chunks(), actor=user, at=timezone.now())
        except Refused as refused:
            form.add_error("file", refused.detail)
            return self._upload_page(request, form)
        _change(stored, lambda created: import_steps.set_options(created, form.options()))
        return _redirect(stored)

    def _upload_page(self, request: HttpRequest, form: UploadForm, status: int = 200) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "title": "Import file", "opts": self.opts, "form": form}
        return TemplateResponse(request, "admin/billing/usageimport/upload.html", context, status=status)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        usage_import = self.get_object(request, object_id)
        if not isinstance(usage_import, UsageImport):
            raise Http404
        _check_permission(request)
        return self._render(request, usage_import, OptionsForm.from_options(usage_import.options))

    def _render(self, request: HttpRequest, usage_import: UsageImport, form: OptionsForm) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts, "form": form}
        context |= import_page.context_for(request, usage_import)
        return TemplateResponse(request, "admin/billing/usageimport/import.html", context)

    def change_options(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        usage_import, form = _load(request, pk), OptionsForm(request.POST)
        if not form.is_valid():
            return self._render(request, usage_import, form)
        return _act(request, pk, lambda usage_import: import_steps.set_options(usage_import, form.options()))

    def check_file(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return _act(request, pk, lambda usage_import: import_steps.start_check(usage_import, usage_import.options))

    def start_import(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return _act(request, pk, import_steps.start_import)

    def stop(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return _act(request, pk, import_steps.stop)

    def resume(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return _act(request, pk, import_steps.resume)

    def discard(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return _act(request, pk, lambda usage_import: import_steps.discard(usage_import, timezone.now()))

    def progress(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """The live part of the import's page."""
        context = import_page.progress(_load(request, pk))
        return TemplateResponse(request, "admin/billing/usageimport/progress.html", context)

    def refusals(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        usage_import = _load(request, pk)
        totals = ImportTotals.from_json(usage_import.imported or usage_import.checked)
        return csv_stream.response(f"refused-rows-{pk}.csv", Refusal._fields, totals.refusals)

    def logs(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        usage_import, after = _load(request, pk), None
        if not request.user.has_perm("billing.view_usagelog"):
            raise PermissionDenied
        with suppress(ValueError):
            after = UUID(request.GET.get("after", ""))
        logs = imported_logs.fetch_page(usage_import, after)
        context = {**self.admin_site.each_context(request), "title": "Imported calls", "import": usage_import}
        context |= {"logs": logs, "next": logs[-1].pk if len(logs) == imported_logs.PAGE_SIZE else None}
        return TemplateResponse(request, "admin/billing/usageimport/logs.html", context)

    def void(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """GET says what would be voided. POST voids for some seconds; the job continues."""
        usage_import = _load(request, pk)
        if not request.user.has_perm(corrections.CORRECT_PERMISSION):
            raise PermissionDenied
        return confirm(
            request,
            title="Void import",
            sentences=import_page.void_sentences(usage_import),
            form_class=VoidForm,
            action=lambda cleaned: _void(request, usage_import, cleaned["reason"]),
            parent_title=usage_import.name,
            back_url=_page_url(usage_import),
        )

    @admin.display(description="Uploaded (UTC)")
    def created(self, usage_import: UsageImport) -> str:
        return f"{usage_import.created_at:%Y-%m-%d %H:%M}"

    @admin.display(description="File")
    def file_name(self, usage_import: UsageImport) -> str:
        return format_html('<span class="long">{}</span>', usage_import.name)

    @admin.display(description="State")
    def state_badge(self, usage_import: UsageImport) -> str:
        return format_html('<span class="badge {}">{}</span>', *import_page.badge(usage_import))

    @admin.display(description="Rows")
    def rows(self, usage_import: UsageImport) -> str:
        return import_page.format_count(usage_import.position)

    @admin.display(description="Calls imported")
    def imported_calls(self, usage_import: UsageImport) -> str:
        return import_page.format_count(import_page.imported_total(usage_import).calls)

    @admin.display(description="Cost")
    def cost(self, usage_import: UsageImport) -> str:
        return import_page.format_cost(import_page.imported_total(usage_import).cost_nano)

    @admin.display(description="Refused")
    def refused(self, usage_import: UsageImport) -> str:
        totals = ImportTotals.from_json(usage_import.imported or usage_import.checked)
        return import_page.format_count(totals.counts.refused)


def _check_permission(request: HttpRequest) -> None:
    if not request.user.has_perm(uploads.PERMISSION):
        raise PermissionDenied


def _load(request: HttpRequest, pk: UUID) -> UsageImport:
    """Raises PermissionDenied or Http404."""
    _check_permission(request)
    return get_object_or_404(UsageImport.objects.select_related("void_batch"), pk=pk)


def _page_url(usage_import: UsageImport) -> str:
    return reverse(f"admin:{URL_PREFIX}_change", args=[usage_import.pk])


def _redirect(usage_import: UsageImport) -> HttpResponse:
    return redirect(_page_url(usage_import))


def _act(request: HttpRequest, pk: UUID, move: Move) -> HttpResponse:
    """Change the state, work for some seconds if there is something to do, and show the import's page."""
    usage_import = _load(request, pk)
    if not _change(usage_import, move):
        messages.error(request, "Nothing was changed: the import is in another state by now.")
    elif usage_import.state in import_steps.RUNNING:
        import_steps.run(usage_import, seconds=import_steps.REQUEST_SECONDS, clock=timezone.now)
    elif usage_import.state in stored_files.ENDED:
        stored_files.remove(usage_import)
    return _redirect(usage_import)


@retry.atomic
def _change(usage_import: UsageImport, move: Move) -> bool:
    """Change the state and record that in the audit trail. Returns whether the state allowed it."""
    before = usage_import.state
    if not move(usage_import):
        return False
    _add_audit_entry(usage_import, {"state": [before, usage_import.state]})
    return True


def _add_audit_entry(usage_import: UsageImport, changes: dict[str, list[str]]) -> None:
    """The audit trail's middleware adds the user."""
    LogEntry.objects.log_create(usage_import, action=LogEntry.Action.UPDATE, changes=changes)


def _void(request: HttpRequest, usage_import: UsageImport, reason: str) -> str:
    """Start or continue the void. Returns the message. Raises Refused."""
    batch = _start_void(request, usage_import, reason)
    try:
        done = batch_progress.continue_batch(batch, clock=timezone.now)
    except apply_corrections.BatchClosed:
        return "Someone else finished or reverted this void in the meantime."
    batch.refresh_from_db()
    logs = f"{batch.logs:,} usage log{'s' if batch.logs != 1 else ''} voided."
    return logs if done else f"{logs} The rest follows within minutes."


@retry.atomic
def _start_void(request: HttpRequest, usage_import: UsageImport, reason: str) -> Any:  # noqa: ANN401 - a CorrectionBatch
    user, before = request.user.get_username(), usage_import.void_batch_id
    batch = import_voids.start(usage_import, reason=reason, actor=user, at=timezone.now())
    if batch.pk != before:
        _add_audit_entry(usage_import, {"void_batch": [str(before), str(batch.pk)]})
    return batch
