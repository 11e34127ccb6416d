// The live console: asks console.json once a second and redraws what changed. While the server is away the last figures
// stay on screen, marked as old, and asking goes on.

const POLL_MS = 1000;
const HIDDEN_POLL_MS = 5000;
const ANSWER_WITHIN_MS = 4000;
const REMEMBERED = 1000;
const PHASES = [
  ["starting", "Starting"],
  ["serving", "Serving"],
  ["training", "Training"],
  ["shadow", "Shadow"],
  ["canary", "Canary"],
  ["done", "Done"],
];
const part = (id) => document.getElementById(id);
const drawn = new Map();
const rates = [];
const heard = new Map();
const liveJournal = journal(part("journal-list"));
const liveChart = timeline(part("chart"));
let heardAt = null;
let looked = null;
let span = null;

// Draws a part only when its data differs from what is on screen, so that hovering, focus and selection survive.
function redraw(name, data, draw) {
  const state = JSON.stringify(data) ?? "";
  if (drawn.get(name) === state) return;
  drawn.set(name, state);
  draw();
}

function say(id, text) {
  if (part(id).textContent !== text) part(id).textContent = text;
}

function showHero({ system, metric, phase, message, mode, replay, self_running, frozen, now }) {
  say("system-name", system.name);
  say("system-model", [system.event, system.label, system.model].filter(Boolean).join(" / "));
  say("message", message ?? "");
  part("mode").hidden = mode !== "replay";
  say("mode", "Replay of history");
  document.title = `${isNumber(self_running) ? figure(self_running, metric.name) + " · " : ""}${system.name} · modelwright`;
  redraw("phases", [phase, mode], () => {
    const phases = PHASES.filter(
      ([name]) => name === phase || (name !== "starting" && (name !== "done" || mode === "replay")),
    );
    part("phases").replaceChildren(
      ...phases.map(([name, label]) =>
        el("li", { class: name === phase ? "now" : "", "aria-current": name === phase ? "step" : null }, label),
      ),
    );
  });
  redraw("replay", [replay, now], () => {
    part("replay").hidden = !replay;
    if (replay)
      part("replay").replaceChildren(
        progress(replay.done, "Replay"),
        el(
          "p",
          {},
          el("span", {}, day(when(replay.from))),
          el("b", {}, minute(when(now))),
          el("span", {}, day(when(replay.to))),
        ),
      );
  });
  redraw("duel", [self_running, frozen, metric], () => {
    const gap = isNumber(self_running) && isNumber(frozen) ? self_running - frozen : null;
    const good = gap !== null && gap > 0 === metric.higher_is_better;
    part("duel").replaceChildren(
      contestant(
        "self",
        "Self-running",
        `${metricLabel(metric.name).toLowerCase()} so far`,
        figure(self_running, metric.name),
      ),
      contestant("frozen", "Frozen", "the first model, had it been left alone", figure(frozen, metric.name)),
      gap === null
        ? ""
        : contestant(
            `gap ${gap === 0 ? "" : good ? "ahead" : "behind"}`,
            "Difference",
            "self-running against frozen",
            difference(gap, metric.name),
          ),
    );
  });
}

function contestant(kind, title, note, shown) {
  const unit = shown.match(/(%| pts)$/)?.[0] ?? "";
  return el(
    "figure",
    { class: `contestant ${kind}${shown === "–" ? " none" : ""}` },
    el("figcaption", {}, el("i"), title),
    el("p", { class: "number" }, shown.slice(0, shown.length - unit.length), el("small", {}, unit)),
    el("p", { class: "note" }, note),
  );
}

function fact(term, value, extra = null) {
  return el("div", {}, el("dt", {}, term), el("dd", {}, value, extra));
}

function parityFact(parity) {
  if (!parity) return fact("Parity", "–", el("small", {}, "not checked yet"));
  const differing = Object.keys(parity.differ).length;
  const found = differing ? `${count(differing)} ${differing === 1 ? "feature differs" : "features differ"}` : "Equal";
  const shown = el("span", { class: differing ? "wrong" : null, title: parity.summary }, found);
  return fact("Parity", shown, el("small", {}, `over ${count(parity.checked)} answers`));
}

function showFacts({ counts, requests_per_second, journal_rows, parity, now }) {
  part("facts").replaceChildren(
    fact(
      "Requests a second",
      isNumber(requests_per_second) ? fixed(requests_per_second, requests_per_second < 10 ? 1 : 0) : "–",
      sparkline(rates),
    ),
    fact("Events", count(counts.events)),
    fact("Predictions", count(counts.predictions)),
    fact("Outcomes", count(counts.outcomes)),
    ...(counts.others === undefined ? [] : [fact("Rows of other events", count(counts.others))]),
    fact("Journal rows", count(journal_rows)),
    parityFact(parity),
    fact("Clock, UTC", clockTime(when(now)), el("small", {}, day(when(now)))),
  );
}

// Since when somebody was away: of a live system this browser's last look; in a replay time is the data's, so nobody was.
function showLookback({ digests, system, mode, metric }) {
  const known = digests?.["7d"];
  part("lookback").hidden = !known;
  if (!known) return;
  if (span === null) {
    looked = mode === "live" ? lastLook(system.name) : null;
    span = mode === "live" ? spanSince(looked) : "30d";
  }
  redraw("lookback", [digests, span], () => {
    const away = looked !== null && Date.now() - looked > AWAY_MS;
    say("lookback-title", away ? `Since you were here, ${minute(looked)}` : "While you were away");
    part("lookback-spans").replaceChildren(
      ...LOOKBACK_SPANS.map(([name, label]) =>
        el(
          "button",
          {
            type: "button",
            class: "chip",
            "aria-pressed": String(name === span),
            onclick: () => {
              span = name;
              showLookback({ digests, system, mode, metric });
            },
          },
          label,
        ),
      ),
    );
    lookback(part("lookback-body"), digests[span], metric, liveJournal.open, away ? looked : null);
  });
}

function pairs(rows) {
  return el(
    "dl",
    { class: "pairs" },
    rows.map(([key, value]) => el("div", {}, el("dt", {}, key), el("dd", {}, value))),
  );
}

function showChampion(champion, metric) {
  if (!champion) return part("champion-card").replaceChildren(el("p", { class: "empty" }, "No release is live yet."));
  part("champion-card").replaceChildren(
    el(
      "p",
      { class: "card-title" },
      el("strong", {}, champion.release),
      el("span", { class: "pill" }, champion.runtime),
    ),
    el(
      "p",
      { class: "number" },
      figure(champion.live, metric.name),
      el("small", {}, ` live, over ${count(champion.n)} outcomes`),
    ),
    pairs([
      ["At its training", figure(champion.validation, metric.name)],
      [
        "Since then",
        isNumber(champion.live) && isNumber(champion.validation)
          ? difference(champion.live - champion.validation, metric.name)
          : "–",
      ],
      ["Live since", minute(when(champion.since))],
      ...(champion.estimate ? [["Accuracy estimated before outcomes came", estimateText(champion.estimate)]] : []),
    ]),
  );
}

function estimateText({ value, low, high, rows }) {
  const share = (part) => figure(part, "accuracy");
  return `${share(value)} (${share(low)} to ${share(high)}), of ${count(rows)} answers`;
}

function showChallenger(challenger, metric) {
  if (!challenger)
    return part("challenger-card").replaceChildren(
      el(
        "p",
        { class: "empty" },
        "None. A new model is trained when a trigger fires, and has to earn its place on live requests first.",
      ),
    );
  const done = challenger.needed ? challenger.pairs / challenger.needed : 0;
  part("challenger-card").replaceChildren(
    el(
      "p",
      { class: "card-title" },
      el("strong", {}, challenger.release),
      el("span", { class: "pill shadow_started" }, challenger.share ? `answers ${figure(challenger.share, "accuracy")}` : "in shadow"),
    ),
    evidenceMeter(challenger, metric.name),
    pairs([
      ["Difference from the champion", difference(challenger.difference, metric.name)],
      ["Surely no worse than", difference(challenger.lower, metric.name)],
      ["Has to be above", difference(isNumber(challenger.margin) ? -challenger.margin : null, metric.name)],
      [challenger.share ? "At this share since" : "In shadow since", minute(when(challenger.since))],
    ]),
    progress(done, "Pairs"),
    el("p", { class: "note" }, `${count(challenger.pairs)} of at least ${count(challenger.needed)} paired outcomes`),
  );
}

function show(state) {
  const { metric } = state;
  rates.push(state.requests_per_second);
  if (rates.length > 60) rates.shift();
  showHero(state);
  showFacts(state);
  const decisions = remember(state.journal);
  const partial = state.journal_rows > decisions.length;
  redraw("chart", [state.series, decisions.length, decisions[0]?.seq, metric], () => {
    say("time-title", `${metricLabel(metric.name)} over time`);
    say("direction", metric.higher_is_better ? "Higher is better" : "Lower is better");
    liveChart({
      metric,
      series: state.series,
      decisions,
      partial,
      releases: [],
      from: state.replay?.from,
      to: state.now,
      open: liveJournal.open,
    });
  });
  showLookback(state);
  redraw("champion", [state.champion, metric], () => showChampion(state.champion, metric));
  redraw("challenger", [state.challenger, metric], () => showChallenger(state.challenger, metric));
  redraw("drift", state.drift, () => {
    const { drift } = state;
    const watched = Boolean(drift?.columns.length);
    driftFindings(part("drift-findings"), drift);
    part("drift-findings").hidden = !watched;
    driftBars(part("drift-bars"), drift ?? {});
    say(
      "drift-note",
      watched
        ? `Requests against what the champion was trained on${falseAlarms(drift)}${isNumber(drift.score_psi) ? ` Its own scores moved by ${fixed(drift.score_psi, 3)}.` : ""}`
        : "",
    );
  });
  redraw("slices", state.slices, () => slicesTable(part("slices-table"), state.slices));
  redraw("quality", state.quality, () => qualityTable(part("quality-table"), state.quality ?? []));
  redraw("journal", [decisions.length, decisions[0]?.seq], () => liveJournal.update(decisions));
  say(
    "journal-note",
    partial
      ? `The latest ${decisions.length} of ${count(state.journal_rows)} rows; all of them: modelwright journal`
      : "Every decision, with the figures that made it.",
  );
}

// All decisions heard of since the page was opened, latest first: each answer holds only the latest. Another journal
// (another row under a known number) starts afresh.
function remember(latest) {
  if (latest.some((decision) => heard.has(decision.seq) && heard.get(decision.seq).at !== decision.at)) heard.clear();
  if (!latest.length) heard.clear();
  for (const decision of latest) heard.set(decision.seq, decision);
  const all = [...heard.values()].sort((a, b) => b.seq - a.seq);
  for (const decision of all.splice(REMEMBERED)) heard.delete(decision.seq);
  return all;
}

function showLink(link) {
  document.body.dataset.link = link;
  const away = link === "away" && heardAt !== null;
  say(
    "link-text",
    {
      up: "Live",
      away: heardAt === null ? "Waiting for the server" : "Server away",
      broken: "Reload: the server speaks another version",
    }[link],
  );
  const age = Math.round((Date.now() - (heardAt ?? 0)) / 1000);
  say("link-age", away ? `figures from ${age < 120 ? `${age} s` : `${Math.round(age / 60)} min`} ago` : "");
}

// The server's answer, or null while it has none.
async function hear() {
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), ANSWER_WITHIN_MS);
  try {
    const answer = await fetch("console.json", { cache: "no-store", signal: giveUp.signal });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}

async function ask() {
  const state = await hear();
  if (state) heardAt = Date.now();
  try {
    if (state) show(state);
    showLink(state ? "up" : "away");
  } catch (failure) {
    console.error(failure);
    showLink("broken");
  }
  setTimeout(ask, document.hidden ? HIDDEN_POLL_MS : POLL_MS);
}

ask();
