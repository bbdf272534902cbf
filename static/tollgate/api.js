/* Forms of the browsable API: sends a JSON body with the session's CSRF token and shows the response; leaves out empty filters. */
"use strict";
{
  async function send(form, method) {
    const body = form.querySelector("textarea")?.value;
    const response = await fetch(form.dataset.url, {
      method,
      body,
      headers: { Accept: "application/json; indent=2", "Content-Type": "application/json", [form.dataset.csrfHeader]: form.dataset.csrf },
    });
    const text = await response.text();
    return `HTTP ${response.status} ${response.statusText}\n\n${text}`;
  }

  document.querySelector("form[method=get]")?.addEventListener("submit", (event) => {
    for (const field of event.target.elements) field.disabled = field.name !== "" && field.value === "";
  });

  for (const form of document.querySelectorAll("form.send")) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const output = form.querySelector("[role=status]");
      output.querySelector("pre").textContent = await send(form, event.submitter.value).catch((error) => String(error));
      output.hidden = false;
    });
  }
}
