"""The forms of the import pages: the file, and how its columns are read."""

from __future__ import annotations

from typing import Any

from django import forms

from billing.admin.log_page import ReasonForm
from billing.imports import import_source, stored_files, uploads

MAX_LINES = 200  # of one mapping
FIRST_FIELDS = ("file", "format", "account")
LIST_FIELDS = ("maps", "constants", "values", "rates")


class OptionsForm(forms.Form):
    """How the file is read. Empty fields leave it to the format."""

    format = forms.ChoiceField(required=False, help_text="Recognised by the columns of the file unless you choose one.")
    account = forms.CharField(
        max_length=256,
        required=False,
        help_text="Account of all rows. Empty: a column has it. New accounts are created.",
    )
    timezone = forms.CharField(
        label="Time zone",
        max_length=64,
        required=False,
        help_text="Of times without an offset, such as UTC or Europe/Berlin.",
    )
    maps = forms.CharField(
        label="Columns",
        required=False,
        widget=forms.Textarea({"rows": 4, "spellcheck": "false"}),
        help_text="Like --map: COLUMN=FIELD, one per line, such as ContextTokens=input_tokens.",
    )
    constants = forms.CharField(
        label="Fixed values",
        required=False,
        widget=forms.Textarea({"rows": 3, "spellcheck": "false"}),
        help_text="Like --set: FIELD=VALUE for every row, one per line, such as provider=openai.",
    )
    values = forms.CharField(
        label="Values to replace",
        required=False,
        widget=forms.Textarea({"rows": 3, "spellcheck": "false"}),
        help_text="Like --values: COLUMN:TEXT=VALUE, one per line, such as batch:TRUE=batch.",
    )
    rates = forms.CharField(
        label="Exchange rates",
        required=False,
        widget=forms.Textarea({"rows": 2, "spellcheck": "false"}),
        help_text="Like --rate: US dollars for one unit of another currency, one per line, such as EUR=1.0840.",
    )
    encoding = forms.CharField(
        max_length=40,
        required=False,
        help_text="Like --encoding, such as latin-1. Empty: UTF-8, or UTF-16 by its start.",
    )
    id_prefix = forms.CharField(
        label="Id prefix",
        max_length=200,
        required=False,
        help_text="Rows without an id of their own get PREFIX:LINE. Empty: the name of the file.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(*args, **kwargs)
        self.fields["format"].choices = import_source.format_choices()  # type: ignore[attr-defined]  # a ChoiceField

    def first_fields(self) -> list[forms.BoundField]:
        return [field for field in self if field.name in FIRST_FIELDS]

    def mapping_fields(self) -> list[forms.BoundField]:
        return [field for field in self if field.name not in FIRST_FIELDS]

    def has_mapping(self) -> bool:
        return any(field.value() for field in self.mapping_fields())

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> OptionsForm:
        texts = {name: "\n".join(options.get(name, [])) for name in LIST_FIELDS}
        return cls(initial={**options, **texts})

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in LIST_FIELDS:
            lines = [line.strip() for line in cleaned.get(name, "").splitlines() if line.strip()]
            if len(lines) > MAX_LINES:
                self.add_error(name, f"Write at most {MAX_LINES} lines.")
            cleaned[name] = lines
        if not self.errors:
            try:
                import_source.parse(self.options())
            except import_source.BadMapping as error:
                self.add_error(None, str(error))
        return cleaned

    def options(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in OptionsForm.base_fields if self.cleaned_data[name]}


class UploadForm(OptionsForm):
    """A file and its options. A file above the maximum has been dropped while it arrived."""

    file = forms.FileField(
        required=False,
        widget=forms.ClearableFileInput(attrs={"accept": ",".join((*stored_files.SUFFIXES, ".gz"))}),
    )
    field_order = FIRST_FIELDS

    def __init__(self, *args: Any, too_large: bool = False, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(*args, **kwargs)
        self.too_large = too_large
        types = ", ".join(stored_files.SUFFIXES)
        self.fields["file"].help_text = f"{types}, also as .gz; at most {uploads.max_bytes() // 1024**2:,} MiB."

    def clean_file(self) -> Any:  # noqa: ANN401 - an uploaded file
        file = self.cleaned_data["file"]
        if self.too_large:
            limit = f"{uploads.max_bytes() // 1024**2:,} MiB"
            raise forms.ValidationError(f"The file is larger than {limit}. Split it, or use manage.py import_usage.")
        if not file:
            raise forms.ValidationError("Choose a file.")
        return file


class VoidForm(ReasonForm):
    """Confirms the void of an import."""

    confirm = forms.BooleanField(label="Yes, void these calls")
