// Axes: round ticks for numbers and for time, smoothing, and the range a chart should show.

const HOUR_MS = 3_600_000;
const TIME_STEPS_MS = [
  1000,
  5000,
  15_000,
  60_000,
  300_000,
  900_000,
  HOUR_MS,
  3 * HOUR_MS,
  6 * HOUR_MS,
  12 * HOUR_MS,
  DAY_MS,
  2 * DAY_MS,
  7 * DAY_MS,
];
const MONTH_STEPS = [1, 2, 3, 6, 12, 24, 60, 120];

function numberTicks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const ticks = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index++) ticks.push(index * step);
  return { ticks, step };
}

// Tick instants on calendar boundaries, each with its label.
function timeTicks(from, to, wanted) {
  const rough = (to - from) / Math.max(1, wanted);
  const step = TIME_STEPS_MS.find((candidate) => candidate >= rough);
  const ticks = [];
  if (step) {
    const label =
      step >= DAY_MS
        ? dates({ day: "numeric", month: "short" })
        : dates({ hour: "2-digit", minute: "2-digit", second: step < 60_000 ? "2-digit" : undefined });
    const dayLabel = dates({ day: "numeric", month: "short" });
    for (let at = Math.ceil(from / step) * step; at <= to; at += step)
      ticks.push({ at, label: at % DAY_MS ? label(at) : dayLabel(at) });
    return ticks;
  }
  const months = MONTH_STEPS.find((candidate) => candidate * 30.4 * DAY_MS >= rough) ?? 240;
  const first = new Date(from);
  const short = dates({ month: "short" });
  let index =
    Math.ceil((first.getUTCFullYear() * 12 + first.getUTCMonth() + (first.getUTCDate() > 1 ? 1 : 0)) / months) * months;
  for (; ; index += months) {
    const at = Date.UTC(Math.floor(index / 12), index % 12, 1);
    if (at > to) return ticks;
    ticks.push({ at, label: index % 12 === 0 ? String(index / 12) : short(at) });
  }
}

// Moving average with Gaussian weights times `weights`; gaps stay gaps, and short series stay as they are.
function smooth(values, weights) {
  if (values.length < 12) return values;
  const sigma = Math.max(1, values.length / 45);
  const reach = Math.ceil(3 * sigma);
  return values.map((value, index) => {
    if (!isNumber(value)) return null;
    let total = 0;
    let weight = 0;
    for (let other = Math.max(0, index - reach); other <= Math.min(values.length - 1, index + reach); other++) {
      if (!isNumber(values[other])) continue;
      const share = Math.exp(-0.5 * ((other - index) / sigma) ** 2) * Math.max(weights[other] ?? 1, 1e-9);
      total += share * values[other];
      weight += share;
    }
    return total / weight;
  });
}

// The range to show: every smoothed value, and raw values of buckets that are not nearly empty.
function valueRange(raws, smoothed, weights) {
  const typical = [...weights].filter(isNumber).sort((a, b) => a - b)[weights.length >> 1] ?? 0;
  const shown = [
    ...smoothed.flat(),
    ...raws.flatMap((raw) => raw.filter((_, index) => (weights[index] ?? 0) >= typical / 4)),
  ].filter(isNumber);
  if (!shown.length) return null;
  const low = shown.reduce((a, b) => Math.min(a, b));
  const high = shown.reduce((a, b) => Math.max(a, b));
  const pad = (high - low) * 0.06 || Math.abs(high) * 0.05 || 0.5;
  return [low >= 0 ? Math.max(0, low - pad) : low - pad, low >= 0 && high <= 1 ? Math.min(1, high + pad) : high + pad];
}
