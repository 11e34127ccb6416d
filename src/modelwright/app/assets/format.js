// Values as people read them, and elements as code builds them. Text only ever enters the page as text nodes.

const DATA = JSON.parse(document.getElementById("data").textContent);
const DAY_MS = 86_400_000;
const SVG = "http://www.w3.org/2000/svg";

// An element with attributes and children; a child that is no node becomes text, null and false become nothing.
function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

function fixed(value, digits) {
  return value
    .toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: "negative" })
    .replace("-", "−");
}

function count(value) {
  return isNumber(value) ? fixed(value, 0) : "–";
}

// A value of a metric: shares in per cent, the rest to about four digits.
function figure(value, metric) {
  if (!isNumber(value)) return "–";
  if (DATA.metrics[metric]?.share) return fixed(100 * value, 1) + "%";
  const size = Math.abs(value);
  if (size > 0 && size < 0.01) return String(Number(value.toPrecision(3)));
  return fixed(value, size >= 100_000 ? 0 : size >= 100 ? 1 : 3);
}

// A signed difference of two values of a metric.
function difference(value, metric) {
  if (!isNumber(value)) return "–";
  const sign = value > 0 ? "+" : "";
  return sign + (DATA.metrics[metric]?.share ? fixed(100 * value, 1) + " pts" : figure(value, metric));
}

function metricLabel(metric) {
  const label = DATA.metrics[metric]?.label ?? String(metric).replaceAll("_", " ");
  return label.charAt(0).toUpperCase() + label.slice(1);
}

function when(text) {
  const instant = Date.parse(text ?? "");
  return Number.isFinite(instant) ? instant : null;
}

function dates(options) {
  const format = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...options });
  return (instant) => (isNumber(instant) ? format.format(instant) : "–");
}
const day = dates({ day: "numeric", month: "short", year: "numeric" });
const minute = dates({ day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
const clockTime = dates({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const month = dates({ month: "short", year: "numeric" });

// A stretch of time with no more detail than it needs.
function stretch(from, to) {
  return to - from < 2 * DAY_MS ? `${minute(from)} – ${minute(to)}` : `${day(from)} – ${day(to)}`;
}

const KINDS = {
  trained: "Trained",
  gated: "Gated",
  registered: "Registered",
  shadow_started: "Shadow",
  canary: "Canary",
  promoted: "Promoted",
  rejected: "Rejected",
  rolled_back: "Rolled back",
  trigger: "Trigger",
  alert: "Alert",
  parity: "Parity",
  paused: "Paused",
  resumed: "Resumed",
  error: "Error",
};

function kindLabel(kind) {
  return KINDS[kind] ?? String(kind).replaceAll("_", " ");
}

// Any JSON value as nested definition lists: what a decision rests on.
function evidence(value) {
  if (value === null || value === undefined) return "–";
  if (isNumber(value)) return Number.isInteger(value) ? fixed(value, 0) : String(Number(value.toPrecision(6)));
  if (Array.isArray(value)) {
    if (value.every((member) => typeof member !== "object" || member === null)) {
      return value.map((member) => evidence(member)).join(", ") || "none";
    }
    return el(
      "ol",
      { class: "evidence" },
      value.map((member) => el("li", {}, evidence(member))),
    );
  }
  if (typeof value === "object") {
    const rows = Object.entries(value).map(([key, member]) =>
      el("div", {}, el("dt", {}, key.replaceAll("_", " ")), el("dd", {}, evidence(member))),
    );
    return rows.length ? el("dl", { class: "evidence" }, rows) : "none";
  }
  return String(value);
}
