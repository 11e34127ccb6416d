// What the drift monitor has found: a row for each thing that changed, what matters most to the model first.

// Those of one series and one release together, in the order of the first of each.
function foldedFindings(findings) {
  const groups = new Map();
  findings.forEach((one, place) => {
    const key = `${one.release} ${one.series || place}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(one);
  });
  return [...groups.values()];
}

// How often the monitor may be wrong, as it is declared.
const falseAlarms = (drift) =>
  drift?.false_alarm_every ? `; at most one false alarm in ${drift.false_alarm_every} is to be expected.` : ".";

// `releases`: also say which release was live, where there are several.
function driftFindings(host, drift, { releases = false } = {}) {
  const findings = drift?.findings ?? [];
  if (!findings.length)
    return host.replaceChildren(el("p", { class: "empty" }, `No drift was noticed${falseAlarms(drift)}`));
  const titles = ["Changed", ...(releases ? ["While live"] : []), "Since", "What", "How far", "How sure"];
  const groups = foldedFindings(findings);
  const row = ([finding, ...alike]) =>
    el(
      "tr",
      {},
      el(
        "th",
        { scope: "row" },
        finding.name,
        isNumber(finding.importance) && el("small", {}, `${fixed(100 * finding.importance, 0)}% of importance`),
        alike.length > 0 &&
          el("small", { title: alike.map((one) => one.name).join(", ") }, `and ${alike.length} more of ${finding.series}`),
      ),
      releases && el("td", {}, finding.release.split("-")[0]),
      el("td", {}, minute(when(finding.since)), el("small", {}, `noticed ${minute(when(finding.noticed))}`)),
      el("td", { class: "what" }, finding.change),
      el("td", {}, `index ${fixed(finding.size, 2)}`),
      el("td", {}, finding.sure, el("small", {}, "than without a change")),
    );
  noticedTable(host, titles, groups, row, `Show all ${groups.length} changes`);
}
