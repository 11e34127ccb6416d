// A table of what was noticed: its first rows, and all of them for whoever asks.

const FIRST_ROWS = 10;

// `row` draws one of `items`; `more` is what the button says that shows them all.
function noticedTable(host, titles, items, row, more) {
  const draw = (limit) =>
    host.replaceChildren(
      el(
        "div",
        { class: "scroll" },
        el(
          "table",
          { class: "findings" },
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              titles.map((title) => el("th", { scope: "col" }, title)),
            ),
          ),
          el("tbody", {}, items.slice(0, limit).map(row)),
        ),
      ),
      items.length > limit
        ? el("button", { type: "button", class: "more", onclick: () => draw(items.length) }, more)
        : "",
    );
  draw(FIRST_ROWS);
}
