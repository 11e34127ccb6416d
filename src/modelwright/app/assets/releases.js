// The table of releases, newest first.

const RELEASE_ROWS = 12;

function releasesTable(host, releases, metric) {
  if (!releases.length) return host.replaceChildren(el("p", { class: "empty" }, "No release was made."));
  const newest = [...releases].sort((a, b) => b.number - a.number);
  const titles = ["Release", "Made", "Rows", "Validation", "Live", "Predictions", "Served", "Verdict"];
  const numeric = new Set(["Rows", "Validation", "Live", "Predictions"]);
  const draw = (limit) => {
    const rows = newest.slice(0, limit).map((release) => {
      const cells = [
        [el("strong", {}, release.release), el("small", {}, release.runtime)],
        day(when(release.at)),
        count(release.rows),
        figure(release.validation, metric.name),
        figure(release.live, metric.name),
        count(release.predictions),
        served(release),
        [
          el("span", { class: `pill ${release.verdict.replace(" ", "_")}` }, release.verdict),
          release.reason ? el("small", {}, release.reason) : null,
        ],
      ];
      return el(
        "tr",
        { class: release.served_from ? "" : "unserved" },
        cells.map((cell, index) =>
          el(
            index ? "td" : "th",
            {
              scope: index ? null : "row",
              class: numeric.has(titles[index]) ? "number" : `is-${titles[index].toLowerCase()}`,
              "data-title": titles[index],
            },
            cell,
          ),
        ),
      );
    });
    const table = el(
      "table",
      { class: "releases" },
      el("caption", { class: "unseen" }, "Releases, newest first"),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          titles.map((title) => el("th", { scope: "col", class: numeric.has(title) ? "number" : "" }, title)),
        ),
      ),
      el("tbody", {}, rows),
    );
    const more =
      newest.length > limit
        ? el(
            "button",
            { type: "button", class: "more", onclick: () => draw(newest.length) },
            `Show all ${newest.length} releases`,
          )
        : null;
    host.replaceChildren(table, more ?? "");
  };
  draw(RELEASE_ROWS);
}

function served(release) {
  const from = when(release.served_from);
  if (from === null) return "never";
  const to = when(release.served_to);
  return to === null ? [`${day(from)} – `, el("b", { class: "live" }, "now live")] : `${day(from)} – ${day(to)}`;
}
