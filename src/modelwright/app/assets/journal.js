// The journal as a list to filter and unfold. Rows are keyed by sequence number, so that a live page adds new ones
// without closing what a reader has open.

const JOURNAL_ROWS = 25;

// Keeps a journal in `host`: `update(decisions)` shows them in the order given, `open(seq)` unfolds one and goes to it.
function journal(host) {
  const chosen = new Set();
  const known = new Map();
  let decisions = [];
  let words = "";
  let limit = JOURNAL_ROWS;

  const chips = el("div", { class: "chips", role: "group", "aria-label": "Kinds of decision" });
  const search = el("input", {
    type: "search",
    placeholder: "Search",
    "aria-label": "Search the journal",
    oninput: () => {
      words = search.value.trim().toLowerCase();
      limit = JOURNAL_ROWS;
      show();
    },
  });
  const list = el("div", { class: "journal-rows" });
  const rest = el("div");
  const said = el("p", { class: "unseen", role: "status" });
  host.append(el("div", { class: "journal-tools" }, chips, search), list, rest, said);

  const matches = (decision) =>
    (!chosen.size || chosen.has(decision.kind)) &&
    (!words ||
      `${decision.seq} ${kindLabel(decision.kind)} ${decision.release ?? ""} ${decision.summary} ${JSON.stringify(decision.evidence)}`
        .toLowerCase()
        .includes(words));

  const row = (decision) => {
    if (!known.has(decision.seq)) known.set(decision.seq, journalRow(decision));
    return known.get(decision.seq);
  };

  const show = () => {
    const found = decisions.filter(matches);
    const rows = found.slice(0, limit).map(row);
    if (rows.length !== list.children.length || rows.some((node, index) => node !== list.children[index]))
      place(list, rows);
    if (!rows.length)
      list.replaceChildren(el("p", { class: "empty" }, decisions.length ? "No decision matches." : "No decision yet."));
    const left = found.length - rows.length;
    rest.replaceChildren(
      left > 0
        ? el(
            "button",
            {
              type: "button",
              class: "more",
              onclick: () => {
                limit += 100;
                show();
              },
            },
            left > 100 ? `Show 100 more of ${left}` : `Show ${left} more`,
          )
        : "",
    );
    const shown = `${found.length} of ${decisions.length} decisions`;
    if (said.textContent !== shown && (words || chosen.size)) said.textContent = shown;
  };

  const showChips = () => {
    const totals = new Map();
    for (const { kind } of decisions) totals.set(kind, (totals.get(kind) ?? 0) + 1);
    const kinds = Object.keys(KINDS).filter((kind) => totals.has(kind));
    const state = JSON.stringify([...kinds.map((kind) => [kind, totals.get(kind), chosen.has(kind)])]);
    if (chips.dataset.state === state) return;
    chips.dataset.state = state;
    const focused = chips.contains(document.activeElement) ? document.activeElement.dataset.kind : null;
    chips.replaceChildren(
      ...kinds.map((kind) =>
        el(
          "button",
          {
            type: "button",
            class: `chip ${kind}`,
            "data-kind": kind,
            "aria-pressed": String(chosen.has(kind)),
            onclick: () => {
              chosen.has(kind) ? chosen.delete(kind) : chosen.add(kind);
              limit = JOURNAL_ROWS;
              showChips();
              show();
            },
          },
          kindLabel(kind),
          el("span", {}, count(totals.get(kind))),
        ),
      ),
    );
    chips.querySelector(`[data-kind="${focused}"]`)?.focus();
  };

  const update = (next) => {
    decisions = next;
    const present = new Set(next.map((decision) => decision.seq));
    for (const seq of known.keys()) if (!present.has(seq)) known.delete(seq);
    showChips();
    show();
  };

  const open = (seq) => {
    const place = decisions.findIndex((decision) => decision.seq === seq);
    if (place < 0) return;
    if (!matches(decisions[place])) {
      chosen.clear();
      words = search.value = "";
      showChips();
    }
    limit = Math.max(limit, decisions.filter(matches).findIndex((decision) => decision.seq === seq) + 1);
    show();
    const node = row(decisions[place]);
    node.open = true;
    node.scrollIntoView({ block: "center" });
    node.querySelector("summary").focus({ preventScroll: true });
  };
  return { update, open };
}

// Puts `rows` into `list` in order, moving only nodes that are out of place: a moved node would lose its focus.
function place(list, rows) {
  const wanted = new Set(rows);
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  rows.forEach((node, index) => {
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  });
}

function journalRow(decision) {
  const body = el("div", { class: "journal-body" });
  const node = el(
    "details",
    {
      class: "journal-row",
      id: `decision-${decision.seq}`,
      ontoggle: () => {
        if (!node.open || body.childElementCount) return;
        const figures = evidence(decision.evidence);
        body.append(figures instanceof Node ? figures : el("p", { class: "empty" }, "No figures were recorded."));
      },
    },
    el(
      "summary",
      {},
      el("time", { datetime: decision.at, title: decision.at }, minute(when(decision.at))),
      el("span", { class: `pill ${decision.kind}` }, kindLabel(decision.kind)),
      el("span", { class: "what" }, decision.summary),
      el("code", {}, decision.release ?? ""),
      el("span", { class: "seq" }, `#${decision.seq}`),
    ),
    body,
  );
  return node;
}
