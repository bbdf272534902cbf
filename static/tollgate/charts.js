/*
Draws each <figure data-chart> with Chart.js from the table inside it, so that the chart and its numbers cannot differ.
templates/usage/cards/chart.html has the markup; the legend sets the colours.
*/
"use strict";
{
  const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });

  const formatUsd = (amount) => (amount > 0 && amount < 0.01 ? "<$0.01" : dollars.format(amount));

  function rows(figure) {
    return Array.from(figure.querySelectorAll("tbody tr"), (row) => ({
      name: row.cells[0].textContent,
      costs: Array.from(row.querySelectorAll("[data-usd]"), (cell) => Number(cell.dataset.usd)),
    }));
  }

  function datasets(figure, data) {
    return Array.from(figure.querySelectorAll(".legend li"), (item, index) => ({
      label: item.textContent,
      data: data.map((row) => row.costs[index]),
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
          itemSort: (a, b) => b.parsed.y - a.parsed.y,
          filter: (item) => item.parsed.y !== 0,
          callbacks: {
            label: (item) => ` ${item.dataset.label}: ${formatUsd(item.parsed.y)}`,
            footer: (items) => `Total: ${formatUsd(items.reduce((sum, item) => sum + item.parsed.y, 0))}`,
          },
        },
      },
    };
  }

  function draw(figure) {
    const data = rows(figure);
    const chart = new Chart(figure.querySelector("canvas"), {
      type: "bar",
      data: { labels: data.map((row) => row.name), datasets: datasets(figure, data) },
      options: options(figure),
    });
    const repaint = () => {
      chart.data.datasets.forEach((set, index) => (set.backgroundColor = datasets(figure, data)[index].backgroundColor));
      chart.options = options(figure);
      chart.update();
    };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
    new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  document.querySelectorAll("figure[data-chart]").forEach(draw);
}
