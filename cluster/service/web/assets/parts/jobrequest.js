// Makes a request for a job from the form. Throws an Error with one sentence if the form is not valid. Pure.
export const FIRST = {
  source: "file", file: "", stored: null, generated: "", label: "", scorer: "", seed_instruction: "", name: "", target: "", optimizer: "",
  selection: "racing", strategies: ["apo", "abo"], settings: {}, seeds: "0", train: 50, dev: 50, test: 100, auto: true, input: "", target_column: "", task: "", target_calls: 10000, optimizer_calls: 1000, concurrency: 4,
};

export function withDefaults(draft, { defaults, targets, optimizers, generated_tasks, strategies }) {
  const offered = (label, models) => (models.some((model) => model.label === label) ? label : models[0]?.label || "");
  return {
    ...draft, target: offered(defaults.target, targets), optimizer: offered(defaults.optimizer, optimizers), selection: defaults.selection?.name || "racing",
    generated: Object.keys(generated_tasks)[0] || "", strategies: draft.strategies.filter((name) => Object.hasOwn(strategies, name)), auto: false, ...defaults.sizes,
    target_calls: defaults.budget?.target_calls ?? "", optimizer_calls: defaults.budget?.optimizer_calls ?? "", concurrency: defaults.concurrency ?? draft.concurrency,
  };
}

export function requestOf(draft) {
  if (draft.source === "file" && !draft.file) throw new Error("No data yet: upload a data set, or choose a generated task.");
  if (!draft.strategies.length) throw new Error("No strategy is selected: select at least one.");
  const columns = draft.source === "file" ? columnsOf(draft) : null;
  const task = draft.source === "file" ? { file: draft.file, label: safeName(draft.label), columns } : { generated: draft.generated };
  return {
    name: safeName(draft.name || (draft.source === "file" ? draft.label : draft.generated)) || "optimization",
    tasks: [{ ...task, scorer: draft.scorer || null, seed_instruction: draft.seed_instruction.trim() || null, description: draft.task.trim() }],
    target: draft.target, optimizer: draft.optimizer, selection: draft.selection, concurrency: whole("Trials at once", draft.concurrency),
    strategies: draft.strategies.map((name) => ({ name, settings: settingsOf(name, draft.settings[name]) })),
    seeds: draft.seeds.split(/[\s,]+/).filter(Boolean).map((seed) => whole("Seeds", seed)),
    sizes: draft.auto ? { auto: true } : { train: whole("Train", draft.train), dev: whole("Dev", draft.dev), test: whole("Test", draft.test) },
    budget: { target_calls: whole("Target calls", draft.target_calls, true), optimizer_calls: whole("Optimizer calls", draft.optimizer_calls, true) },
  };
}

function columnsOf(draft) {
  const named = { input: draft.input.trim(), target: draft.target_column.trim() };
  return named.input || named.target ? named : null;
}

const safeName = (text) => text.trim().replace(/[^\w.-]+/g, "-").slice(0, 64);

function whole(name, value, mayLack = false) {
  if (mayLack && String(value).trim() === "") return null;
  if (!/^\d+$/.test(String(value).trim())) throw new Error(`${name}: ${value || "nothing"} is no whole number.`);
  return Number(value);
}

function settingsOf(name, text) {
  if (!text || !text.trim()) return {};
  try {
    const found = JSON.parse(text);
    if (found && typeof found === "object" && !Array.isArray(found)) return found;
  } catch {
    // the error is thrown below
  }
  throw new Error(`Settings of ${name}: write them as JSON, for example {"rounds": 2}.`);
}
