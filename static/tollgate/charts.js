/*
Draws each <figure data-chart> with Chart.js, from the table inside it: a chart and its numbers cannot differ.
Linked on the pages that have charts (templates/usage/cards/chart.html shows the markup). The colours are those of the legend.
*/
"use strict";
{
  const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });

  const shown = (amount) => (amount > 0 && amount < 0.01 ? "<$0.01" : dollars.format(amount));

  function rows(figure) {
    return Array.from(figure.querySelectorAll("tbody tr"), (row) => ({
      name: row.cells[0].textContent,
      costs: Array.from(row.querySelectorAll("[data-usd]"), (cell) => Number(cell.dataset.usd)),
    }));
  }

  function datasets(figure, steps) {
    return Array.from(figure.querySelectorAll(".legend li"), (item, place) => ({
      label: item.textContent,
      data: steps.map((step) => step.costs[place]),
      backgroundColor: getComputedStyle(item, "::before").backgroundColor,
    }));
  }

  function options(figure) {
    const ink = getComputedStyle(figure.querySelector(".legend")).color;
    const line = getComputedStyle(figure).borderTopColor;
    return {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { stacked: true, ticks: { color: ink, maxRotation: 0, autoSkipPadding: 12 }, grid: { display: false } },
        y: {
          stacked: true,
          beginAtZero: true,
          ticks: { color: ink, maxTicksLimit: 6, callback: (amount) => dollars.format(amount) },
          grid: { color: line },
          border: { display: false },
        },
      },
      plugins: {
        legend: { display: false },
        tooltip: {
          itemSort: (one, other) => other.parsed.y - one.parsed.y,
          filter: (item) => item.parsed.y !== 0,
          callbacks: {
            label: (item) => ` ${item.dataset.label}: ${shown(item.parsed.y)}`,
            footer: (items) => `Total: ${shown(items.reduce((sum, item) => sum + item.parsed.y, 0))}`,
          },
        },
      },
    };
  }

  function draw(figure) {
    const steps = rows(figure);
    const chart = new Chart(figure.querySelector("canvas"), {
      type: "bar",
      data: { labels: steps.map((step) => step.name), datasets: datasets(figure, steps) },
      options: options(figure),
    });
    const repaint = () => {
      chart.data.datasets.forEach((set, place) => (set.backgroundColor = datasets(figure, steps)[place].backgroundColor));
      chart.options = options(figure);
      chart.update();
    };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
    new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  document.querySelectorAll("figure[data-chart]").forEach(draw);
}
