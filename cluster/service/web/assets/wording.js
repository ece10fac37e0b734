// Formats figures, times and names. Pure.
const NONE = "–";
const number = new Intl.NumberFormat("en");
const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** Two digits, rounding a half in the third to even, as Python does in the report: 25 of 40 is 0.62 in both. */
function rounded(value) {
  const tie = Number.isInteger(value * 8) && !Number.isInteger(value * 4);
  return tie ? (2 * Math.round(Math.floor(value * 100) / 2 + 0.25) / 100).toFixed(2) : value.toFixed(2);
}

const absent = (value) => value === null || value === undefined;

export const count = (value) => (absent(value) ? NONE : number.format(value));
export const share = (value) => (absent(value) ? NONE : rounded(value));
export const percent = (value) => (absent(value) ? NONE : `${Math.round(value * 100)} %`);
export const signed = (value) => (absent(value) ? NONE : (value > 0 ? "+" : value < 0 ? "−" : "±") + rounded(Math.abs(value)));
export const interval = (low, high) => (absent(low) || absent(high) ? "" : `${rounded(low)}–${rounded(high)}`);
export const when = (seconds) => (absent(seconds) ? NONE : moment.format(new Date(seconds * 1000)));
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
export const short = (id) => (id.length > 12 ? id.slice(0, 8) : id);
export const money = (value) => (absent(value) ? NONE : value.toFixed(value < 1 ? 4 : 2));

export function lasting(seconds) {
  if (absent(seconds)) return NONE;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const size = (bytes) => (bytes < 1024 ? `${bytes} B` : bytes < 2 ** 20 ? `${(bytes / 1024).toFixed(0)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`);

export const STATUS = {
  queued: ["○", "queued"], running: ["◐", "running"], cancelling: ["◌", "cancelling"], succeeded: ["✓", "succeeded"],
  failed: ["✗", "failed"], cancelled: ["⊘", "cancelled"], waiting: ["○", "waiting"], finished: ["✓", "finished"],
  budget: ["◔", "budget exhausted"], pruned: ["✂", "pruned"], stopped: ["⊘", "interrupted"],
};
export const OVER = ["succeeded", "failed", "cancelled"];

/** Operator -> how its candidates are called. */
export const OPERATORS = {
  seed: "baseline", edit: "edited", paraphrase: "paraphrased", induce: "induced", propose: "proposed",
  decompose: "decomposed", demonstrate: "demonstrated", refine: "refined step", rewrite: "rewritten",
  revise: "revised", vary: "varied", summarise: "summarised",
};
export const operatorName = (operator) => (Object.hasOwn(OPERATORS, operator) ? OPERATORS[operator] : operator);
