/*
Live cards and Copy buttons; admin/base_site.html loads it on every page.

<section class="card" data-live="/admin/health-card/" data-live-seconds="15">
  <header><h2>System health</h2> <button type="button" class="quiet-button" data-live-refresh>Refresh</button></header>
  <div data-live-body aria-live="polite"> the HTML fragment from the data-live URL </div>
  <p class="as-of">as of <time data-live-time>12:00:05</time> <span class="badge warning" data-live-stale hidden>stale</span></p>
</section>

After each response, the card dispatches `card:refreshed` (bubbles; detail: url, at, automatic). Automatic polls send the
header `X-Tollgate-Poll: 1`, so that the server can exclude them from its figures. `redirect: "error"` keeps the login page
out of the card when the session has ended.
*/
"use strict";
{
  const MAX_SECONDS = 300;

  class LiveCard {
    constructor(element) {
      this.element = element;
      this.url = element.dataset.live;
      this.seconds = Number(element.dataset.liveSeconds) || 15;
      this.failures = 0;
      this.part("refresh")?.addEventListener("click", () => this.refresh({ automatic: false }));
      this.schedule();
    }

    part(name) {
      return this.element.querySelector(`[data-live-${name}]`);
    }

    schedule() {
      clearTimeout(this.timer);
      if (document.hidden) return;
      const wait = Math.min(this.seconds * 2 ** this.failures, Math.max(MAX_SECONDS, this.seconds));
      this.timer = setTimeout(() => this.refresh({ automatic: true }), wait * 1000);
    }

    async refresh({ automatic }) {
      clearTimeout(this.timer);
      const request = (this.request = Symbol("the newest request; older responses are dropped"));
      try {
        const response = await fetch(this.url, {
          headers: automatic ? { "X-Tollgate-Poll": "1" } : {},
          redirect: "error",
          cache: "no-store",
          signal: AbortSignal.timeout(10000),
        });
        if (!response.ok) throw new Error(`status ${response.status}`);
        const html = await response.text();
        if (request !== this.request) return;
        this.failures = 0;
        this.show(html, new Date(response.headers.get("Date") || Date.now()), automatic);
      } catch {
        if (request !== this.request) return;
        this.failures += 1;
        this.setStale(true);
      }
      this.schedule();
    }

    show(html, at, automatic) {
      const body = this.part("body");
      // Unchanged HTML is not replaced, so it is not announced again. A card with focus waits for the next refresh.
      const inUse = automatic && body.contains(document.activeElement);
      if (inUse) return;
      if (html !== this.html) body.innerHTML = this.html = html;
      const time = this.part("time");
      if (time) {
        time.dateTime = at.toISOString();
        time.textContent = at.toLocaleTimeString([], { hourCycle: "h23" });
      }
      this.setStale(false);
      const detail = { url: this.url, at, automatic };
      this.element.dispatchEvent(new CustomEvent("card:refreshed", { bubbles: true, detail }));
    }

    setStale(stale) {
      const badge = this.part("stale");
      if (badge) badge.hidden = !stale;
    }
  }

  async function copy(button) {
    const code = button.closest(".snippet").querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 2000);
    } catch {
      getSelection().selectAllChildren(code); // no clipboard without HTTPS: select the code for Ctrl+C
    }
  }

  const cards = Array.from(document.querySelectorAll("[data-live]"), (element) => new LiveCard(element));
  document.addEventListener("visibilitychange", () => {
    for (const card of cards) {
      if (document.hidden) clearTimeout(card.timer);
      else card.refresh({ automatic: true });
    }
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });
}
