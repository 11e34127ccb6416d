// The challenger's evidence as a picture: the measured difference, its lower bound, and the line it has to clear.

// A strip with the margin's line, zero, and the bar from the lower bound to the difference. A positive difference is good.
function evidenceMeter({ difference: seen, lower, margin }, metric) {
  if (!isNumber(seen) || !isNumber(margin))
    return el("p", { class: "empty" }, "Waiting for the first outcomes of pairs.");
  const floor = isNumber(lower) ? lower : seen;
  const reach =
    1.25 * Math.max(Math.abs(seen), Math.min(Math.abs(floor), 4 * Math.max(margin, Math.abs(seen))), margin, 1e-9);
  const x = (value) => 300 * Math.max(0, Math.min(1, (value + reach) / (2 * reach)));
  const cleared = floor > -margin;
  const text = (value, label, className) =>
    svg("text", { x: Math.max(20, Math.min(280, x(value))), y: 60, "text-anchor": "middle", class: className }, label);
  return svg(
    "svg",
    {
      viewBox: "0 0 300 66",
      class: `meter ${cleared ? "cleared" : ""}`,
      role: "img",
      "aria-label": `Difference ${difference(seen, metric)}, lower bound ${difference(floor, metric)}, must be above ${difference(-margin, metric)}`,
    },
    svg("rect", { class: "beyond", x: 0, y: 14, width: x(-margin), height: 26 }),
    svg("line", { class: "rail", x1: 0, x2: 300, y1: 27, y2: 27 }),
    svg("line", { class: "zero", x1: 150, x2: 150, y1: 18, y2: 36 }),
    svg("line", { class: "limit", x1: x(-margin), x2: x(-margin), y1: 8, y2: 46 }),
    svg("line", { class: "bar", x1: x(floor), x2: x(seen), y1: 27, y2: 27 }),
    svg("line", { class: "bound", x1: x(floor), x2: x(floor), y1: 20, y2: 34 }),
    svg("circle", { class: "seen", cx: x(seen), cy: 27, r: 6 }),
    text(-margin, difference(-margin, metric), ""),
    Math.abs(x(-margin) - 150) > 46 ? text(0, "0", "") : "",
  );
}

// How far something has come, 0 to 1.
function progress(done, label) {
  const share = Math.max(0, Math.min(1, done || 0));
  const bar = el("i");
  bar.style.width = `${100 * share}%`;
  return el(
    "div",
    {
      class: "progress",
      role: "progressbar",
      "aria-label": label,
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-valuenow": Math.round(100 * share),
    },
    bar,
  );
}

// A line without axes for the last few values.
function sparkline(values) {
  const shown = values.filter(isNumber);
  if (shown.length < 2) return null;
  const high = Math.max(...shown, 1e-9);
  const x = (index) => (index / (shown.length - 1)) * 88;
  const y = (value) => 20 - (value / high) * 17;
  const path = shown
    .map((value, index) => `${index ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`)
    .join("");
  return svg(
    "svg",
    { viewBox: "0 0 90 22", class: "spark", "aria-hidden": "true" },
    svg("path", { d: path }),
    svg("circle", { cx: 88, cy: y(shown.at(-1)), r: 2 }),
  );
}

// One bar a column, those that matter most to the model first, with what was missing or never seen before. Red: an alarm
// has named it. The bar is its size only: how sure a change is, the findings say.
function driftBars(
  host,
  { columns = [], psi = [], missing = [], unseen = [], importance = [], findings = [], threshold },
) {
  if (!columns.length)
    return host.replaceChildren(el("p", { class: "empty" }, "Not enough requests yet to compare with training."));
  const share = (value) => (isNumber(value) && value > 0 ? `${fixed(100 * value, value < 0.1 ? 1 : 0)}%` : "–");
  const named = new Set(findings.map((finding) => finding.name));
  const order = columns
    .map((_, index) => index)
    .sort((a, b) => (importance[b] ?? 0) - (importance[a] ?? 0))
    .slice(0, 24);
  const rows = order.map((index) => {
    const value = psi[index];
    const bar = el("i", { class: named.has(columns[index]) ? "over" : "" });
    bar.style.width = `${isNumber(value) ? Math.min(100, (100 * value) / (2 * threshold)) : 0}%`;
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, columns[index]),
      el("td", { class: "number" }, share(importance[index])),
      el("td", { class: "bar" }, el("span", {}, bar)),
      el("td", { class: "number" }, isNumber(value) ? fixed(value, 3) : "–"),
      el("td", { class: "number" }, share(missing[index])),
      el("td", { class: "number" }, share(unseen[index])),
    );
  });
  host.replaceChildren(
    el(
      "table",
      { class: "drift-bars" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          ["Column", "Importance", "Shift", "Index", "Missing", "Unseen"].map((title) =>
            el("th", { scope: "col", class: ["Column", "Shift"].includes(title) ? "" : "number" }, title),
          ),
        ),
      ),
      el("tbody", {}, rows),
    ),
  );
}
