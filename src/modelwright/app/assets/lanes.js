// Below the chart, on its axis: the live release as a ribbon, then one row for each kind of decision.

// The rows there is something to show in, top to bottom; no counts where only part of the decisions is known.
function laneRows({ decisions, releases, partial }) {
  const rows = [];
  if ((releases ?? []).some((release) => when(release.served_from) !== null))
    rows.push({ kind: "release", label: "Live release" });
  for (const kind of LANES) {
    const marks = decisions
      .filter((decision) => decision.kind === kind && when(decision.at) !== null)
      .sort((a, b) => a.seq - b.seq);
    if (marks.length)
      rows.push({
        kind,
        marks,
        label: partial ? laneNoun(kind, 2) : `${count(marks.length)} ${laneNoun(kind, marks.length)}`,
      });
  }
  return rows;
}

function laneNoun(kind, number) {
  return ["trigger", "alert", "error"].includes(kind) && number !== 1 ? `${kind}s` : kindLabel(kind).toLowerCase();
}

function drawLanes(node, { lanes, box, x, rowHeight, wide, data, to }) {
  lanes.forEach((lane, index) => {
    const top = box.bottom + 34 + index * rowHeight;
    const middle = wide ? top + rowHeight / 2 : top + rowHeight - 10;
    const label = wide ? { x: box.right + 12, y: middle + 4 } : { x: box.left, y: top + 15 };
    const row = svg(
      "g",
      { class: `lane ${lane.kind}`, role: "group", "aria-label": lane.label },
      svg("text", label, lane.label),
    );
    node.append(row);
    if (lane.kind === "release") return drawRibbon(row, { middle, x, data, to });
    row.append(svg("line", { class: "rail", x1: box.left, x2: box.right, y1: middle, y2: middle }));
    const marks = lane.marks.map((decision) => decisionMark(decision, x(when(decision.at)), middle, data.open));
    row.append(...marks);
    rove(marks);
  });
}

function decisionMark(decision, px, middle, open) {
  const mark = svg(
    "g",
    {
      class: `mark ${decision.kind}`,
      transform: `translate(${px.toFixed(1)} ${middle})`,
      role: "button",
      "data-key": `mark-${decision.seq}`,
      "aria-label": `${kindLabel(decision.kind)}, ${minute(when(decision.at))}: ${decision.summary}. Open in the journal.`,
    },
    svg("rect", { class: "hit", x: -7, y: -11, width: 14, height: 22 }),
    svg("path", { d: MARKS[decision.kind] }),
  );
  tipOn(mark, () => [
    tipTitle(`${kindLabel(decision.kind)}${decision.release ? ` ${decision.release}` : ""}`, minute(when(decision.at))),
    el("p", {}, decision.summary),
    tipRows(headFigures(decision.evidence)),
  ]);
  mark.addEventListener("click", () => {
    hideTip();
    open(decision.seq);
  });
  mark.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    hideTip();
    open(decision.seq);
  });
  return mark;
}

// The first few plain figures of a decision's evidence, nested ones under their path.
function headFigures(value, path = "", limit = 6) {
  const found = [];
  for (const [key, member] of Object.entries(value ?? {})) {
    if (found.length >= limit) break;
    const name = path ? `${path} · ${key}` : key;
    if (member !== null && typeof member === "object" && !Array.isArray(member))
      found.push(...headFigures(member, name, limit - found.length));
    else if (member === null || typeof member !== "object") found.push([name.replaceAll("_", " "), evidence(member)]);
  }
  return found;
}

function drawRibbon(row, { middle, x, data, to }) {
  const served = data.releases.filter((release) => when(release.served_from) !== null);
  const pieces = served.map((release, index) => {
    const left = x(when(release.served_from));
    const wide = Math.max(1, x(when(release.served_to) ?? to) - left);
    const piece = svg(
      "g",
      {
        class: `piece ${index % 2 ? "odd" : "even"}`,
        role: "img",
        "data-key": `piece-${release.release}`,
        "aria-label": `${release.release} was live ${stretch(when(release.served_from), when(release.served_to) ?? to)}, ${figure(release.live, data.metric.name)} live`,
      },
      svg("rect", { x: left, y: middle - 8, width: Math.max(0.5, wide - 1), height: 16, rx: Math.min(3, wide / 3) }),
    );
    if (wide > 8 + 8 * `r${release.number}`.length)
      piece.append(svg("text", { x: left + wide / 2, y: middle + 4, "text-anchor": "middle" }, `r${release.number}`));
    tipOn(piece, () => [
      tipTitle(release.release, stretch(when(release.served_from), when(release.served_to) ?? to)),
      tipRows([
        ["Live", figure(release.live, data.metric.name), "sum"],
        ["Validation", figure(release.validation, data.metric.name)],
        ["Predictions", count(release.predictions)],
        ["Trained on", `${count(release.rows)} rows`],
      ]),
    ]);
    return piece;
  });
  row.append(...pieces);
  rove(pieces);
}
