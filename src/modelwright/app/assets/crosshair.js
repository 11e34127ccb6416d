// Reading the chart: the bucket under the pointer, or the one the arrow keys stand on, with its unsmoothed values.

function drawCrosshair(node, { box, metric, series, raw, smoothed, at, ends, xs, y, drawnLines, releases }) {
  const line = svg("line", { class: "cross", y1: box.top, y2: box.bottom, visibility: "hidden" });
  const dots = drawnLines.map(([name]) => svg("circle", { class: `dot ${name}`, r: 4, visibility: "hidden" }));
  const area = svg("rect", {
    class: "hit",
    x: box.left,
    y: box.top,
    width: Math.max(0, box.right - box.left),
    height: box.bottom - box.top,
    tabindex: 0,
    role: "slider",
    "data-key": "plot",
    "aria-label": `${metricLabel(metric.name)} at a time; use the arrow keys`,
    "aria-valuemin": 0,
    "aria-valuemax": at.length - 1,
    "aria-valuenow": at.length - 1,
  });
  let current = at.length - 1;
  const values = (index) =>
    [...LINES]
      .reverse()
      .filter(([name]) => isNumber(raw[name][index]))
      .map(([name, label]) => [label, figure(raw[name][index], metric.name), name]);
  const show = (index, pointer) => {
    current = index;
    line.setAttribute("x1", xs[index]);
    line.setAttribute("x2", xs[index]);
    line.setAttribute("visibility", "visible");
    drawnLines.forEach(([name], which) => {
      const value = smoothed[name][index];
      dots[which].setAttribute("visibility", isNumber(value) ? "visible" : "hidden");
      if (isNumber(value)) {
        dots[which].setAttribute("cx", xs[index]);
        dots[which].setAttribute("cy", y(value));
      }
    });
    const rows = values(index);
    const ours = raw.self_running[index];
    const frozen = raw.frozen[index];
    if (isNumber(ours) && isNumber(frozen)) rows.push(["Difference", difference(ours - frozen, metric.name), "sum"]);
    rows.push(["Outcomes", count(series.n[index]), "more"]);
    const live = releases.findLast(
      (release) =>
        when(release.served_from) !== null &&
        when(release.served_from) < ends[index] &&
        (when(release.served_to) ?? Infinity) > at[index],
    );
    if (live) rows.push(["Live release", live.release, "more"]);
    area.setAttribute("aria-valuenow", index);
    area.setAttribute(
      "aria-valuetext",
      `${stretch(at[index], ends[index])}: ${rows.map(([key, value]) => `${key} ${value}`).join(", ")}`,
    );
    const frame = node.getBoundingClientRect();
    showTip(
      pointer ? pointer.clientX : frame.left + xs[index],
      pointer ? pointer.clientY : frame.top + box.top + 60,
      tipTitle(stretch(at[index], ends[index])),
      tipRows(rows),
    );
  };
  const hide = () => {
    [line, ...dots].forEach((mark) => mark.setAttribute("visibility", "hidden"));
    hideTip();
  };
  area.addEventListener("pointermove", (event) => {
    const px = event.clientX - node.getBoundingClientRect().left;
    show(
      xs.reduce((best, other, index) => (Math.abs(other - px) < Math.abs(xs[best] - px) ? index : best), 0),
      event,
    );
  });
  area.addEventListener("pointerleave", hide);
  area.addEventListener("blur", hide);
  area.addEventListener("focus", () => area.matches(":focus-visible") && show(current));
  area.addEventListener("keydown", (event) => {
    const step = {
      ArrowRight: 1,
      ArrowUp: 1,
      ArrowLeft: -1,
      ArrowDown: -1,
      PageUp: 10,
      PageDown: -10,
      Home: -Infinity,
      End: Infinity,
    }[event.key];
    if (!step) return;
    event.preventDefault();
    show(Math.max(0, Math.min(at.length - 1, current + step)));
  });
  node.append(line, ...dots, area);
}
