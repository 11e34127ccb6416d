// What was off in how data arrived: a row for each time, with when it was noticed and whether it has ended.

function qualityTable(host, troubles) {
  if (!troubles.length)
    return host.replaceChildren(el("p", { class: "empty" }, "Events and outcomes arrive as they did in the history trained on."));
  const row = (one) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, one.name),
      el("td", {}, minute(when(one.since)), el("small", {}, `noticed ${minute(when(one.noticed))}`)),
      el("td", {}, one.ended ? minute(when(one.ended)) : el("strong", { class: "wrong" }, "not yet")),
      el("td", { class: "what" }, one.change),
      el("td", {}, one.sure || "beyond its bound", one.sure && el("small", {}, "than without a change")),
    );
  noticedTable(host, ["What", "Since", "Ended", "How much", "How sure"], troubles, row, `Show all ${troubles.length}`);
}
