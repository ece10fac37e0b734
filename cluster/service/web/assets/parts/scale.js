// The ends of a chart's axis and its ticks: round values, with labels that all differ. Pure. The same rule as in
// cluster/results/ticks.py, so that the page and the report show the same axis for the same data.
const NONE = { values: [], labels: [] };
const LONGEST = 9;

/** At most `most` ticks from `low` to `high`, at multiples of 1, 2 or 5 times a power of ten; `whole`: only whole numbers. */
export function ticks(low, high, most = 6, whole = false) {
  if (!Number.isFinite(low) || !Number.isFinite(high) || low > high) return NONE;
  if (low === high) return whole && !Number.isInteger(low) ? NONE : { values: [low], labels: [label(low, digitsOf(low))] };
  let exponent = Math.floor(Math.log10(Math.max(high - low, Number.MIN_VALUE))) - 3;
  for (exponent = whole ? Math.max(0, exponent) : exponent; ; exponent++) {
    for (const times of [1, 2, 5]) {
      const found = multiples(low, high, times, exponent, Math.max(2, most));
      if (found) return { values: found, labels: found.map((value) => label(value, Math.max(0, -exponent))) };
    }
  }
}

/** The multiples of a step between both ends; null where there are more than `most`. */
function multiples(low, high, times, exponent, most) {
  const step = times * 10 ** exponent;
  const at = (place) => (exponent < 0 ? (place * times) / 10 ** -exponent : place * step);
  const [first, last] = [Math.ceil(low / step - 1e-9), Math.floor(high / step + 1e-9)];
  if (!(last - first < most)) return null;
  const values = Array.from({ length: Math.max(0, last - first + 1) }, (_, place) => at(first + place) || 0);
  return [...new Set(values)];
}

const digitsOf = (value) => (String(value).split("e")[0].split(".")[1] || "").length;

function label(value, digits) {
  if (digits > LONGEST || Math.abs(value) >= 1e15) return String(value);
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** The ends of an axis: the first and the last value, or half a unit around a single one. */
export function reached(places) {
  if (!places.length) return [0, 1];
  const [low, high] = [places[0], places.at(-1)];
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

/** At least a third of the scale of accuracies, so that noise does not look like progress. */
export function accuracies(low, high) {
  if (low === null || high === null || low === undefined || high === undefined) return [0, 1];
  const room = Math.max(0.36 - (high - low), 0.04) / 2;
  return [Math.max(0, low - room), Math.min(1.02, high + room)];
}
