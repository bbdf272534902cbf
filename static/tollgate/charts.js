/*
Draws each <figure data-chart> with Chart.js from a table, so that the chart and its numbers cannot differ.
The table is inside the figure, or data-table names it; data-chart names the attribute of the cells ("usd" if empty);
data-unit is the unit of values that are no dollars; data-order="newest-first" says how the rows are sorted. A cell's
data-series is its place in the legend where a row has one cell for all series. The legend sets the colours.
templates/usage/cards/chart.html and templates/admin/monitoring/chart.html have the markup.
*/
"use strict";
{
  const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
  const numbers = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });

  const formatUsd = (amount) => (amount > 0 && amount < 0.01 ? "<$0.01" : dollars.format(amount));

  const formatOf = ({ unit }) => (unit ? (value) => `${numbers.format(value)} ${unit}` : formatUsd);

  function valuesOf(row, name) {
    const values = [];
    row.querySelectorAll(`[data-${name}]`).forEach((cell, index) => {
      const value = cell.dataset[name];
      values[cell.dataset.series ?? index] = value === "" ? null : Number(value);
    });
    return values;
  }

  function rows(figure) {
    const { chart, table, order } = figure.dataset;
    const source = table ? document.getElementById(table) : figure;
    const list = Array.from(source.querySelectorAll("tbody tr"), (row) => ({
      name: row.cells[0].textContent.trim(),
      values: valuesOf(row, chart || "usd"),
    }));
    return order === "newest-first" ? list.reverse() : list;
  }

  function datasets(figure, data) {
    return Array.from(figure.querySelectorAll(".legend li"), (item, index) => ({
      label: item.textContent,
      data: data.map((row) => row.values[index] ?? null),
      backgroundColor: getComputedStyle(item, "::before").backgroundColor,
    }));
  }

  function options(figure) {
    const ink = getComputedStyle(figure.querySelector(".legend")).color;
    const line = getComputedStyle(figure).borderTopColor;
    const { unit } = figure.dataset;
    const format = formatOf(figure.dataset);
    return {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { stacked: true, ticks: { color: ink, maxRotation: 0, autoSkipPadding: 12 }, grid: { display: false } },
        y: {
          stacked: true,
          beginAtZero: true,
          ticks: { color: ink, maxTicksLimit: 6, callback: (value) => (unit ? numbers : dollars).format(value) },
          grid: { color: line },
          border: { display: false },
        },
      },
      plugins: {
        legend: { display: false },
        tooltip: {
          itemSort: (a, b) => b.parsed.y - a.parsed.y,
          filter: (item) => item.parsed.y !== 0 && item.parsed.y !== null,
          callbacks: {
            label: (item) => ` ${item.dataset.label}: ${format(item.parsed.y)}`,
            footer: (items) => (unit ? "" : `Total: ${format(items.reduce((sum, item) => sum + item.parsed.y, 0))}`),
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
