// How far columns moved, as a table of tinted cells: a row for each column of the event, a cell for each period, those that
// matter most to the model first.

const HEAT_ROWS = 20;

function heatmap(host, { at, columns, values, threshold, importance }) {
  if (!columns.length || !at.length)
    return host.replaceChildren(el("p", { class: "empty" }, "No column was watched for drift."));
  const order = columns.map((_, index) => index).sort((a, b) => importance[b] - importance[a]);
  const draw = (limit) => {
    const cells = [];
    const head = el(
      "tr",
      {},
      el("th", { scope: "col" }, el("span", { class: "unseen" }, "Column")),
      at.map((instant, index) => {
        const year = new Date(when(instant)).getUTCFullYear();
        const yearAt = (which) => new Date(when(at[Math.min(which, at.length - 1)])).getUTCFullYear();
        const opens = index === 0 ? yearAt(1) === year : year !== yearAt(index - 1);
        return el("th", { scope: "col", "aria-label": month(when(instant)) }, opens ? String(year) : null);
      }),
    );
    const rows = order.slice(0, limit).map((index) =>
      el(
        "tr",
        {},
        el("th", { scope: "row", title: columns[index] }, columns[index]),
        at.map((instant, which) => {
          const value = values[index][which];
          const over = isNumber(value) && value >= threshold;
          const cell = el(
            "td",
            { class: isNumber(value) ? (over ? "over" : "") : "none" },
            el(
              "span",
              { class: "unseen" },
              isNumber(value) ? `${fixed(value, 3)}${over ? ", large" : ""}` : "no figure",
            ),
          );
          if (isNumber(value))
            cell.style.setProperty("--heat", `${Math.round(100 * Math.min(1, value / (2.5 * threshold)))}%`);
          tipOn(cell, () => [
            tipTitle(columns[index], month(when(instant))),
            tipRows([
              ["Stability index", isNumber(value) ? fixed(value, 3) : "–", "sum"],
              ["Importance to the first model", `${fixed(100 * importance[index], 0)}%`],
            ]),
          ]);
          cells.push(cell);
          return cell;
        }),
      ),
    );
    const table = el(
      "table",
      { class: "heat" },
      el("caption", { class: "unseen" }, "Population stability index by column and month"),
      el("thead", {}, head),
      el("tbody", {}, rows),
    );
    const more =
      order.length > limit
        ? el(
            "button",
            { type: "button", class: "more", onclick: () => draw(order.length) },
            `Show all ${order.length} columns`,
          )
        : null;
    host.replaceChildren(heatKey(threshold), el("div", { class: "scroll" }, table), more ?? "");
    rove(cells, at.length);
  };
  draw(HEAT_ROWS);
}

function heatKey(threshold) {
  const steps = [0, 20, 40, 60, 80, 100].map((heat) => {
    const swatch = el("i");
    swatch.style.setProperty("--heat", `${heat}%`);
    return swatch;
  });
  return el(
    "p",
    { class: "heat-key", "aria-hidden": "true" },
    "stable",
    el("span", {}, steps),
    `${fixed(2.5 * threshold, 1)} or more`,
    el("em", {}, el("b"), `a large shift (from ${threshold})`),
  );
}
