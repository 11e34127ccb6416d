// The one tooltip of a page, and keyboard travel over many small marks as a single tab stop.

const TIP = document.getElementById("tip");

// Shows `content` beside a point of the viewport, kept inside it.
function showTip(x, y, ...content) {
  TIP.replaceChildren(...content);
  TIP.hidden = false;
  const { width, height } = TIP.getBoundingClientRect();
  const left = x + 16 + width > innerWidth - 8 ? x - 16 - width : x + 16;
  const top = y - height - 12 < 8 ? y + 16 : y - height - 12;
  TIP.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
  TIP.style.top = `${Math.max(8, top)}px`;
}

function hideTip() {
  TIP.hidden = true;
}

addEventListener("keydown", (event) => event.key === "Escape" && hideTip());
addEventListener("scroll", hideTip, { passive: true, capture: true });

function tipTitle(text, note) {
  return el("p", { class: "tip-title" }, text, note ? el("span", {}, note) : null);
}

function tipRows(rows) {
  return el(
    "dl",
    { class: "tip-rows" },
    rows.map(([key, value, kind]) => el("div", { class: kind }, el("dt", {}, key), el("dd", {}, value))),
  );
}

// Makes `nodes` one tab stop: arrow keys move (by `columns` up and down), Home and End jump.
function rove(nodes, columns = 1) {
  nodes.forEach((node, index) => {
    node.setAttribute("tabindex", index ? "-1" : "0");
    node.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
      const target = event.key === "Home" ? 0 : event.key === "End" ? nodes.length - 1 : step ? index + step : -1;
      if (!nodes[target]) return;
      event.preventDefault();
      nodes.forEach((other) => other.setAttribute("tabindex", "-1"));
      nodes[target].setAttribute("tabindex", "0");
      nodes[target].focus();
    });
  });
}

// Shows a tip for a mark on hover and on focus; `content` makes the tip's nodes.
function tipOn(node, content) {
  const show = (event) => {
    const box = node.getBoundingClientRect();
    const pointed = event.type !== "focus";
    showTip(pointed ? event.clientX : box.left + box.width / 2, pointed ? event.clientY : box.top, ...content());
  };
  node.addEventListener("pointerenter", show);
  node.addEventListener("focus", show);
  node.addEventListener("pointerleave", hideTip);
  node.addEventListener("blur", hideTip);
}
