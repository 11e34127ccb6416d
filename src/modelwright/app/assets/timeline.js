// The big chart: a metric of the self-running system and of its frozen first model over time, the space between them shaded,
// and below it, on the same axis, which release was live and every decision as a mark.

const LANES = ["promoted", "rejected", "rolled_back", "trigger", "alert", "error"];
const MARKS = {
  promoted: "M0-5.5 L5 4 L-5 4Z",
  rolled_back: "M0 5.5 L5-4 L-5-4Z",
  rejected: "M-4-4 L4 4 M4-4 L-4 4",
  trigger: "M0-5 V5",
  alert: "M0-5.5 L5.5 0 L0 5.5 L-5.5 0Z",
  error: "M-4.5-4.5 H4.5 V4.5 H-4.5Z",
};
const LINES = [
  ["baseline", "Baseline"],
  ["frozen", "Frozen"],
  ["self_running", "Self-running"],
];

// Keeps a timeline in `host`; the returned function draws new data: {metric, series, decisions, partial,
// releases, estimates, from, to, open}. `series.until`, where there is one, is how far outcomes are known. `partial` says that older decisions are left out; `open(seq)` is called when one is picked.
function timeline(host) {
  const hidden = new Set(["baseline"]);
  let data = null;
  let width = 0;

  const draw = () => {
    width = host.clientWidth;
    if (!data || !width) return;
    const focused = host.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const drawn = drawTimeline(data, width, hidden);
    host.replaceChildren(legend(drawn.shown), drawn.node);
    if (focused) host.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  };

  const legend = (shown) => {
    const toggle = (name, label) =>
      el(
        "button",
        {
          type: "button",
          class: `key ${name}`,
          "data-key": `key-${name}`,
          "aria-pressed": String(!hidden.has(name)),
          onclick: () => {
            hidden.has(name) ? hidden.delete(name) : hidden.add(name);
            draw();
          },
        },
        el("i"),
        label,
      );
    const keys = [...LINES]
      .reverse()
      .filter(([name]) => shown.has(name))
      .map(([name, label]) => toggle(name, label));
    if (shown.has("raw")) keys.push(toggle("raw", "Unsmoothed"));
    if (shown.has("estimate")) keys.push(toggle("estimate", "Estimated before outcomes came"));
    return el("div", { class: "legend", role: "group", "aria-label": "Lines shown" }, keys);
  };

  new ResizeObserver(() => host.clientWidth !== width && draw()).observe(host);
  return (next) => {
    data = next;
    draw();
  };
}

function drawTimeline(data, width, hidden) {
  const { metric, series } = data;
  const at = series.at.map(when);
  const known = when(series.until);
  const ends = at.map((instant, index) => at[index + 1] ?? Math.max(known ?? when(data.to) ?? instant, instant));
  const middle = at.map((instant, index) => (instant + ends[index]) / 2);
  const raw = Object.fromEntries(LINES.map(([name]) => [name, series[name] ?? []]));
  const smoothed = Object.fromEntries(LINES.map(([name]) => [name, smooth(raw[name], series.n)]));
  const shown = new Set(LINES.map(([name]) => name).filter((name) => raw[name].some(isNumber)));
  if (at.length >= 12 && shown.size) shown.add("raw");
  const estimates = data.estimates ?? [];
  if (estimates.length) shown.add("estimate");
  const drawnLines = LINES.filter(([name]) => shown.has(name) && !hidden.has(name));
  const steered = drawnLines.length ? drawnLines : LINES;
  const range = valueRange(
    steered.map(([name]) => (hidden.has("raw") ? [] : raw[name])),
    steered.map(([name]) => smoothed[name]),
    series.n,
  );
  if (!range || !at.length)
    return {
      shown,
      node: el("p", { class: "empty" }, "No outcome has come back yet, or all are of one kind, so there is nothing to compare."),
    };

  const wide = width >= 720;
  const box = { left: wide ? 52 : 42, right: width - (wide ? 104 : 10), top: 12, bottom: wide ? 330 : 240 };
  const lanes = laneRows(data);
  const rowHeight = wide ? 26 : 42;
  const height = box.bottom + 34 + lanes.length * rowHeight + 4;
  const from = Math.min(at[0], when(data.from) ?? at[0]);
  const to = Math.max(ends.at(-1), when(data.to) ?? 0, from + 1000);
  const x = (instant) => box.left + ((instant - from) / (to - from)) * (box.right - box.left);
  const y = (value) => box.bottom - ((value - range[0]) / (range[1] - range[0])) * (box.bottom - box.top);

  const node = svg("svg", {
    viewBox: `0 0 ${width} ${height}`,
    class: "timeline",
    role: "group",
    "aria-label": `${metricLabel(metric.name)} over time, with decisions`,
  });
  const clip = `plot-${Math.random().toString(36).slice(2, 8)}`;
  node.append(
    svg(
      "clipPath",
      { id: clip },
      svg("rect", {
        x: box.left,
        y: box.top - 6,
        width: Math.max(0, box.right - box.left),
        height: box.bottom - box.top + 6,
      }),
    ),
  );
  drawAxes(node, { box, range, metric, x, y, from, to, width });

  const promotions = data.decisions.filter((decision) => decision.kind === "promoted");
  if (promotions.length <= 30) {
    node.append(
      svg(
        "g",
        { class: "guides" },
        promotions.map((decision) =>
          svg("line", { x1: x(when(decision.at)), x2: x(when(decision.at)), y1: box.top, y2: box.bottom }),
        ),
      ),
    );
  }
  const plot = svg("g", { "clip-path": `url(#${clip})` });
  const xs = middle.map(x);
  if (!hidden.has("self_running") && !hidden.has("frozen")) {
    for (const [good, path] of spaces(xs, smoothed.self_running, smoothed.frozen, y, metric.higher_is_better))
      plot.append(svg("path", { class: good ? "gain" : "loss", d: path }));
  }
  if (shown.has("raw") && !hidden.has("raw")) {
    for (const [name] of drawnLines.filter(([name]) => name !== "baseline"))
      plot.append(svg("path", { class: `line raw ${name}`, d: linePath(xs, raw[name], y) }));
  }
  if (estimates.length && !hidden.has("estimate")) drawEstimates(plot, { estimates, to, x, y });
  for (const [name] of drawnLines) {
    plot.append(svg("path", { class: `line ${name}`, d: linePath(xs, smoothed[name], y) }));
    smoothed[name].forEach((value, index) => {
      const alone = isNumber(value) && !isNumber(smoothed[name][index - 1]) && !isNumber(smoothed[name][index + 1]);
      if (alone) plot.append(svg("circle", { class: `dot ${name}`, cx: xs[index], cy: y(value), r: 4 }));
    });
  }
  node.append(plot);
  if (known !== null && x(to) - x(known) > 110) {
    const where = { x: (x(known) + x(to)) / 2, y: (box.top + box.bottom) / 2, "text-anchor": "middle" };
    node.append(svg("g", { class: "axis" }, svg("text", where, "no truth yet")));
  }
  if (wide) drawEndLabels(node, drawnLines, smoothed, box, y);
  drawCrosshair(node, {
    box,
    metric,
    series,
    raw,
    smoothed,
    at,
    ends,
    xs,
    y,
    drawnLines,
    releases: data.releases ?? [],
  });
  drawLanes(node, { lanes, box, x, rowHeight, wide, data, to });
  return { shown, node };
}

// What could be said of each period as it began: a bar as long as the period, in the interval it was given.
function drawEstimates(plot, { estimates, to, x, y }) {
  estimates.forEach(({ at, value, low, high }, index) => {
    const begin = x(when(at));
    const end = x(estimates[index + 1] ? when(estimates[index + 1].at) : to);
    plot.append(
      svg("rect", { class: "estimate", x: begin, width: Math.max(0, end - begin), y: y(high), height: y(low) - y(high) }),
      svg("line", { class: "estimate", x1: begin, x2: end, y1: y(value), y2: y(value) }),
    );
  });
}

function drawAxes(node, { box, range, metric, x, y, from, to, width }) {
  const { ticks } = numberTicks(range[0], range[1], width >= 720 ? 5 : 4);
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : Math.abs(ticks[0] ?? 1);
  const share = DATA.metrics[metric.name]?.share;
  const digits = Math.max(0, Math.min(6, Math.ceil(-Math.log10((share ? 100 : 1) * step) - 1e-9)));
  const label = (value) => (share ? fixed(100 * value, digits) + "%" : fixed(value, digits));
  node.append(
    svg(
      "g",
      { class: "axis" },
      ticks.map((value) => [
        svg("line", { x1: box.left, x2: box.right, y1: y(value), y2: y(value) }),
        svg("text", { x: box.left - 10, y: y(value) + 4, "text-anchor": "end" }, label(value)),
      ]),
      timeTicks(from, to, (box.right - box.left) / 90).map((tick) => [
        svg("line", { class: "tick", x1: x(tick.at), x2: x(tick.at), y1: box.bottom, y2: box.bottom + 5 }),
        svg(
          "text",
          { x: x(tick.at), y: box.bottom + 20, "text-anchor": x(tick.at) > box.right - 14 ? "end" : "middle" },
          tick.label,
        ),
      ]),
      svg("line", { class: "floor", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }),
    ),
  );
}

function linePath(xs, values, y) {
  let path = "";
  values.forEach((value, index) => {
    if (isNumber(value))
      path += `${isNumber(values[index - 1]) ? "L" : "M"}${xs[index].toFixed(1)} ${y(value).toFixed(1)}`;
  });
  return path;
}

// The space between two lines as closed paths, each marked as good or bad for the first line; split where they cross.
function spaces(xs, ours, other, y, higherIsBetter) {
  const found = [];
  let run = null;
  const close = () => {
    if (run && run.top.length > 1) found.push([run.good, `M${[...run.top, ...run.bottom.reverse()].join("L")}Z`]);
    run = null;
  };
  const push = (px, a, b, good) => {
    run ??= { good, top: [], bottom: [] };
    run.top.push(`${px.toFixed(1)} ${y(a).toFixed(1)}`);
    run.bottom.push(`${px.toFixed(1)} ${y(b).toFixed(1)}`);
  };
  xs.forEach((px, index) => {
    const a = ours[index];
    const b = other[index];
    if (!isNumber(a) || !isNumber(b)) return close();
    const good = a > b === higherIsBetter;
    if (run && a !== b && run.good !== good) {
      const before = ours[index - 1] - other[index - 1];
      const share = before / (before - (a - b));
      const crossX = xs[index - 1] + share * (px - xs[index - 1]);
      const cross = ours[index - 1] + share * (a - ours[index - 1]);
      push(crossX, cross, cross, run.good);
      close();
      push(crossX, cross, cross, good);
    }
    push(px, a, b, run ? run.good : good);
  });
  close();
  return found;
}

function drawEndLabels(node, lines, smoothed, box, y) {
  const labels = lines
    .map(([name, label]) => ({ name, label, y: y(smoothed[name].findLast(isNumber)) }))
    .sort((a, b) => a.y - b.y);
  labels.forEach((label, index) => {
    if (index) label.y = Math.max(label.y, labels[index - 1].y + 16);
  });
  const over = labels.length ? Math.max(0, labels.at(-1).y - box.bottom + 2) : 0;
  for (const { name, label, y: top } of labels)
    node.append(svg("text", { class: `end ${name}`, x: box.right + 12, y: top - over + 4 }, label));
}
