/*
Adds accessible names that Django's admin widgets lack (axe: label, select-name, aria-input-field-name, aria-prohibited-attr).
Runs after `load` and after the `ready` callbacks of the admin's scripts, which build the widgets: jQuery may run those later
than `load` on a busy machine. Rows added later are copies of rows named here.
*/
"use strict";
{
  const text = (element) => element?.textContent.trim().replace(/:$/, "") ?? "";

  function nameDateAndTime(input) {
    const name = text(input.closest(".form-row, td")?.querySelector("legend, label"));
    input.setAttribute("aria-label", `${name} ${input.matches(".vDateField") ? "date" : "time"}`.trim());
  }

  function nameCell(field) {
    const cell = field.closest("td");
    const heading = field.closest("table").tHead?.rows[0].cells[cell.cellIndex];
    if (!field.labels?.length && !field.ariaLabel) field.setAttribute("aria-label", text(heading) || "Value");
  }

  function nameSearchableChoice(box) {
    const label = document.querySelector(`label[for="${box.closest(".select2-container").previousElementSibling?.id}"]`);
    const value = box.querySelector(".select2-selection__rendered");
    if (!label || !value) return;
    label.id ||= `${label.htmlFor}_label`;
    value.setAttribute("aria-labelledby", label.id);
    box.setAttribute("aria-labelledby", `${label.id} ${value.id}`);
  }

  function nameAll() {
    for (const icon of document.querySelectorAll(".search-label-icon")) icon.setAttribute("role", "img");
    document.querySelectorAll(".datetime input.vDateField, .datetime input.vTimeField").forEach(nameDateAndTime);
    document.querySelectorAll(".tabular td :is(input:not([type=hidden]), select, textarea)").forEach(nameCell);
    document.querySelectorAll(".select2-selection--single[role=combobox]").forEach(nameSearchableChoice);
  }

  addEventListener("load", () => (window.django?.jQuery ?? ((run) => run()))(nameAll));
}
