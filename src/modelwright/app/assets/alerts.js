// What people would have been told of in a rehearsal, in the words of the messages. Nothing of it was sent.

const ALERT_ROWS = 10;

function alertsSent(section, { receivers, sent }) {
  section.hidden = !receivers.length;
  if (section.hidden) return;
  const note = `Nothing was sent; a run would have told ${receivers.join(" and ")} this.`;
  section.querySelector("#alerts-note").textContent = note;
  const host = section.querySelector("#alerts-list");
  if (!sent.length) return host.replaceChildren(el("p", { class: "empty" }, "Nothing that they want to know happened."));
  const draw = (limit) =>
    host.replaceChildren(
      el(
        "ol",
        { class: "alerts" },
        sent.slice(0, limit).map((one) =>
          el(
            "li",
            {},
            el("time", { datetime: one.at }, minute(when(one.at))),
            el("span", { class: `pill ${one.kind}` }, kindLabel(one.kind)),
            el("div", {}, el("b", {}, one.what), one.text.split("\n").slice(1).map((line) => el("p", {}, line))),
            receivers.length > 1 && el("small", {}, `to ${one.to.join(", ")}`),
          ),
        ),
      ),
      sent.length > limit
        ? el("button", { type: "button", class: "more", onclick: () => draw(sent.length) }, `Show all ${sent.length} alerts`)
        : "",
    );
  draw(ALERT_ROWS);
}
