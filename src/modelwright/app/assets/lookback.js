// A period for somebody who was away: is it good now, what wants a person, what is wrong, what happened. The words are the
// server's, so that the terminal, the console and the report say the same; here they are only laid out.

// `open(seq)` shows a decision in the journal; `seen` is when somebody last looked, to mark what is new since.
function lookback(host, digest, metric, open, seen = null) {
  const { quality } = digest;
  const figures = quality?.now
    ? [
        ["Now", quality.now, quality.change],
        ["Before", quality.before, ""],
        ...Object.entries(quality.rivals).map(([name, rival]) => [sentence(name), rival, ""]),
      ].filter(([, known]) => known)
    : [];
  host.replaceChildren(
    el(
      "div",
      { class: `verdict ${digest.verdict}` },
      el("p", { class: "headline" }, digest.headline),
      el("p", { class: "note" }, digest.work),
    ),
    figures.length
      ? el(
          "dl",
          { class: "facts" },
          figures.map(([name, known, change]) =>
            el(
              "div",
              {},
              el("dt", {}, name),
              el("dd", {}, figure(known.value, metric.name), change && el("small", { class: change }, change)),
              el("dd", { class: "interval" }, interval(known, metric.name)),
            ),
          ),
        )
      : "",
    ...told("Waits for you", digest.wants, "wants"),
    ...told("Not as it should be", digest.problems, "problems"),
    happened(digest, open, seen),
  );
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function interval({ low, high, rows }, metric) {
  const over = `${count(rows)} outcomes`;
  return isNumber(low) ? `${figure(low, metric)} to ${figure(high, metric)}, ${over}` : `over ${over}`;
}

function told(title, lines, kind) {
  if (!lines.length) return [];
  return [el("h3", {}, title), el("ul", { class: `told ${kind}` }, lines.map((line) => el("li", {}, sentence(line))))];
}

function happened({ happened, earlier }, open, seen) {
  if (!happened.length) return el("p", { class: "empty" }, "Nothing was decided that changes what is answered.");
  return el(
    "ol",
    { class: "happened" },
    happened.map(({ at, kind, said, seq }) =>
      el(
        "li",
        { class: seen !== null && when(at) > seen ? "new" : null },
        el("time", { datetime: at }, minute(when(at))),
        el("span", { class: `pill ${kind}` }, kindLabel(kind)),
        el("button", { type: "button", class: "what", onclick: () => open(seq) }, said),
      ),
    ),
    earlier ? el("li", { class: "earlier" }, `and ${count(earlier)} before, in the journal`) : null,
  );
}

// The console's: which period, by when somebody last looked, and the choice of another.

const LOOKBACK_SPANS = [
  ["1d", "Last 24 hours", 1],
  ["7d", "Last 7 days", 7],
  ["30d", "Last 30 days", 30],
];
const LOOKED = "modelwright.looked";
const AWAY_MS = 30 * 60_000;

// When this browser last showed this system, before now; null where it never did or may not say.
function lastLook(system) {
  const key = `${LOOKED}.${system}`;
  try {
    const before = Number(localStorage.getItem(key)) || null;
    const keep = () => localStorage.setItem(key, String(Date.now()));
    keep();
    setInterval(() => document.hidden || keep(), 60_000);
    return before;
  } catch {
    return null;
  }
}

// The shortest period that reaches back to then; a week where that is not known.
function spanSince(seen) {
  if (seen === null) return "7d";
  const days = (Date.now() - seen) / DAY_MS;
  return (LOOKBACK_SPANS.find(([, , reach]) => reach >= days) ?? LOOKBACK_SPANS.at(-1))[0];
}
