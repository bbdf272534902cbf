/*
Live cards and Copy buttons; linked on every page by admin/base_site.html.

<section class="card" data-live="/admin/health-card/" data-live-seconds="15">
  <header><h2>System health</h2> <button type="button" class="quiet-button" data-live-refresh>Refresh</button></header>
  <div data-live-body aria-live="polite"> the HTML fragment that the address answers with </div>
  <p class="as-of">as of <time data-live-time>12:00:05</time> <span class="badge warning" data-live-stale hidden>stale</span></p>
</section>

The card fires `card:refreshed` (it bubbles; detail: url, at, automatic) after each answer. Automatic polls carry the header
`X-Tollgate-Poll: 1`, so that the server can leave them out of its figures. `redirect: "error"` keeps the log-in page of an
ended session out of the card.
*/
"use strict";
{
  const MOST_SECONDS = 300;

  class LiveCard {
    constructor(element) {
      this.element = element;
      this.url = element.dataset.live;
      this.seconds = Number(element.dataset.liveSeconds) || 15;
      this.failures = 0;
      this.part("refresh")?.addEventListener("click", () => this.refresh({ automatic: false }));
      this.plan();
    }

    part(name) {
      return this.element.querySelector(`[data-live-${name}]`);
    }

    plan() {
      clearTimeout(this.timer);
      if (document.hidden) return;
      const wait = Math.min(this.seconds * 2 ** this.failures, Math.max(MOST_SECONDS, this.seconds));
      this.timer = setTimeout(() => this.refresh({ automatic: true }), wait * 1000);
    }

    async refresh({ automatic }) {
      clearTimeout(this.timer);
      const turn = (this.turn = Symbol("the newest request; older answers are dropped"));
      try {
        const response = await fetch(this.url, {
          headers: automatic ? { "X-Tollgate-Poll": "1" } : {},
          redirect: "error",
          cache: "no-store",
          signal: AbortSignal.timeout(10000),
        });
        if (!response.ok) throw new Error(`answer ${response.status}`);
        const html = await response.text();
        if (turn !== this.turn) return;
        this.failures = 0;
        this.show(html, new Date(response.headers.get("Date") || Date.now()), automatic);
      } catch {
        if (turn !== this.turn) return;
        this.failures += 1;
        this.stale(true);
      }
      this.plan();
    }

    show(html, at, automatic) {
      const body = this.part("body");
      // An unchanged card isn't announced again, and one that somebody works in is left alone until the next time.
      const inUse = automatic && body.contains(document.activeElement);
      if (inUse) return;
      if (html !== this.html) body.innerHTML = this.html = html;
      const time = this.part("time");
      if (time) {
        time.dateTime = at.toISOString();
        time.textContent = at.toLocaleTimeString([], { hourCycle: "h23" });
      }
      this.stale(false);
      const detail = { url: this.url, at, automatic };
      this.element.dispatchEvent(new CustomEvent("card:refreshed", { bubbles: true, detail }));
    }

    stale(is) {
      const mark = this.part("stale");
      if (mark) mark.hidden = !is;
    }
  }

  async function copy(button) {
    const code = button.closest(".snippet").querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 2000);
    } catch {
      getSelection().selectAllChildren(code); // without HTTPS there is no clipboard: Ctrl+C does the rest
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
