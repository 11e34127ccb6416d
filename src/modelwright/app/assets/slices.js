// The metric by slice: each value of a declared column with the interval it has, drawn to one scale, and the worst slice found.

function slicesTable(host, slices) {
  if (!slices?.whole.rows) return host.replaceChildren(el("p", { class: "empty" }, "No outcome has come back yet."));
  const { metric, whole, worst, searched } = slices;
  const rows = [{ ...whole, label: "All" }, ...slices.slices.map((one) => ({ ...one, label: `${one.column}: ${one.value}` }))];
  if (worst) rows.push({ ...worst, label: `${worst.column}: ${worst.value}`, note: `the worst of ${searched}` });
  const ends = rows.flatMap((one) => [one.low, one.high, one.metric]).filter(isNumber);
  const [from, to] = [Math.min(...ends), Math.max(...ends)];
  const place = (value) => (to > from ? (100 * (value - from)) / (to - from) : 50);
  host.replaceChildren(
    el(
      "div",
      { class: "scroll" },
      el(
        "table",
        { class: "findings slices" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            ["Slice", "Outcomes", metricLabel(metric), "With 95%", ""].map((title) => el("th", { scope: "col" }, title)),
          ),
        ),
        el(
          "tbody",
          {},
          rows.map((one) =>
            el(
              "tr",
              { class: one.note ? "worst" : "" },
              el("th", { scope: "row" }, one.label, one.note && el("small", {}, one.note)),
              el("td", {}, count(one.rows)),
              el("td", {}, figure(one.metric, metric)),
              el("td", {}, isNumber(one.low) ? `${figure(one.low, metric)} to ${figure(one.high, metric)}` : "anything"),
              el("td", { class: "span" }, isNumber(one.low) && intervalBar(one, whole.metric, place)),
            ),
          ),
        ),
      ),
    ),
  );
}

// `usual`: the metric of all, as a line across.
function intervalBar({ metric, low, high }, usual, place) {
  const mark = (value) => svg("circle", { cx: place(value), cy: 5, r: 2 });
  return svg(
    "svg",
    { viewBox: "-3 0 106 10", "aria-hidden": "true" },
    isNumber(usual) && svg("line", { class: "usual", x1: place(usual), x2: place(usual), y1: 0, y2: 10 }),
    svg("line", { class: "reach", x1: place(low), x2: place(high), y1: 5, y2: 5 }),
    isNumber(metric) && mark(metric),
  );
}
