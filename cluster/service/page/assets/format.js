// Numbers and times as people read them. Knows no element.
export const MISSING = "–";

export const share = (value, digits = 0) => (value === null || value === undefined ? MISSING : `${(100 * value).toFixed(digits)}%`);
export const accuracy = (value) => (value === null || value === undefined ? MISSING : value.toFixed(2));
export const count = (value) => (value === null || value === undefined ? MISSING : Math.round(value).toLocaleString("en"));
export const money = (value) => (value === null || value === undefined ? MISSING : value.toFixed(2));
export const interval = (low, high) => (low === null || high === null ? "" : `[${low.toFixed(2)}, ${high.toFixed(2)}]`);
export const signed = (value) =>
  value === null || value === undefined ? MISSING : `${value > 0 ? "+" : value < 0 ? "−" : "±"}${Math.abs(value).toFixed(2)}`;
export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return MISSING;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

export const moment = (seconds) =>
  seconds ? new Date(1000 * seconds).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }) : MISSING;

export function bytes(number) {
  const units = ["bytes", "kB", "MB", "GB"];
  let at = 0;
  while (number >= 1000 && at < units.length - 1) {
    number /= 1000;
    at += 1;
  }
  return `${at ? number.toFixed(1) : number} ${units[at]}`;
}

/** "abo" -> "ABO": the strategies' short names are acronyms, the others are words. */
const ACRONYMS = new Set(["abo", "apo", "opro"]);
export const title = (name) => (ACRONYMS.has(name) ? name.toUpperCase() : name.replaceAll("_", " "));

/** The trial that stands best on its dev split. */
export const leading = (trials) => trials.reduce((best, trial) => (standing(trial) > standing(best) ? trial : best), trials[0]);
const standing = (trial) => trial?.curve[trial.curve.length - 1]?.dev_accuracy ?? -1;

export const plainId = (id) => id.slice(0, 8);
