"use strict";
{
  // Swagger UI sets dark mode by a class; Tollgate by an attribute, or the system's preference.
  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const updateTheme = () => {
    const dark = root.dataset.theme === "dark" || (root.dataset.theme !== "light" && prefersDark.matches);
    root.classList.toggle("dark-mode", dark);
  };
  new MutationObserver(updateTheme).observe(root, { attributeFilter: ["data-theme"] });
  prefersDark.addEventListener("change", updateTheme);
  updateTheme();

  // Swagger UI gives these fields no label.
  const names = { "textarea.body-param__text": "Request body", "select.examples-select-element": "Example" };
  const nameFields = () => {
    for (const [selector, name] of Object.entries(names)) {
      for (const field of document.querySelectorAll(selector)) field.setAttribute("aria-label", name);
    }
  };
  new MutationObserver(nameFields).observe(document.getElementById("swagger-ui"), { childList: true, subtree: true });

  SwaggerUIBundle({
    url: "{{ schema_url|escapejs }}",
    dom_id: "#swagger-ui",
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    deepLinking: false, // deep links are links inside buttons, which screen readers cannot reach
    requestInterceptor: (request) => {
      if (request.method && request.method !== "GET") {
        request.headers["{{ csrf_header_name|escapejs }}"] = "{{ csrf_token|escapejs }}";
      }
      return request;
    },
  });
}
