"use strict";
{
  // Swagger UI has a dark mode of its own, by a class; Tollgate's theme is an attribute, or the system's.
  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    const dark = root.dataset.theme === "dark" || (root.dataset.theme !== "light" && prefersDark.matches);
    root.classList.toggle("dark-mode", dark);
  };
  new MutationObserver(follow).observe(root, { attributeFilter: ["data-theme"] });
  prefersDark.addEventListener("change", follow);
  follow();

  // Fields that Swagger UI draws without a label.
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
    deepLinking: false, // deep links are links inside of buttons, which a screen reader cannot reach
    requestInterceptor: (request) => {
      if (request.method && request.method !== "GET") {
        request.headers["{{ csrf_header_name|escapejs }}"] = "{{ csrf_token|escapejs }}";
      }
      return request;
    },
  });
}
