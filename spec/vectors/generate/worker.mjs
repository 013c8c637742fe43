// Answers, for one parameter set a line on stdin, with the picks of a JavaScript SDK on stdout.
import { createRequire } from "node:module";
import path from "node:path";
import readline from "node:readline";

// The SDKs live where `npm ci` put them, not beside this file.
const require = createRequire(path.resolve(process.env.SPLITWAY_NODE_MODULES, "worker.js"));

const systems = { growthbook, planout };

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { system, ...job } = JSON.parse(line);
  process.stdout.write(JSON.stringify(systems[system](job)) + "\n");
}

function growthbook({ version, params, variants, units }) {
  const { GrowthBook } = require("@growthbook/growthbook");
  const core = path.dirname(require.resolve("@growthbook/growthbook"));
  const { hash } = require(path.join(core, "..", "cjs", "util.js"));
  const experiment = {
    key: params.seed,
    seed: params.seed,
    hashVersion: version,
    variations: variants.map((_, index) => index),
    coverage: params.coverage,
    weights: params.weights,
    ranges: params.ranges,
    namespace: params.namespace,
    filters: params.filters?.map(({ seed, hash_version, ranges }) => ({ seed, hashVersion: hash_version, ranges })),
  };
  for (const key of Object.keys(experiment)) if (experiment[key] === undefined) delete experiment[key];
  const steps = { 1: 1000, 2: 10000 };
  const native = (seed, unit, by) => Math.round(hash(seed, unit, by) * steps[by]);
  return units.map((unit) => {
    const result = new GrowthBook({ attributes: { id: unit } }).run(experiment);
    if (result.inExperiment) return [result.variationId, native(params.seed, unit, version)];
    return [null, unit === "" ? 0 : closedGate(unit) ?? native(params.seed, unit, version)];
  });

  // The bucket of the first gate that turned the unit away.
  function closedGate(unit) {
    const gates = params.filters
      ? params.filters.map((filter) => [filter.seed, filter.hash_version ?? 2, filter.ranges])
      : params.namespace
        ? [["__" + params.namespace[0], 1, [params.namespace.slice(1)]]]
        : [];
    for (const [seed, by, ranges] of gates) {
      const n = hash(seed, unit, by);
      if (!ranges.some(([start, end]) => n >= start && n < end)) return native(seed, unit, by);
    }
  }
}

function planout({ params, variants, units }) {
  const { Assignment, Ops } = require("planout/dist/planout_core_compatible.js");
  const choices = variants.map((_, index) => index);
  return units.map((unit) => {
    const assignment = new Assignment(params.experiment_salt);
    const op = params.weights
      ? new Ops.Random.WeightedChoice({ choices, weights: params.weights, unit })
      : new Ops.Random.UniformChoice({ choices, unit });
    assignment.set(params.parameter_salt, op);
    const fraction = new Assignment(params.experiment_salt);
    fraction.set(params.parameter_salt, new Ops.Random.RandomFloat({ min: 0, max: 1, unit }));
    const n = fraction.get(params.parameter_salt);
    return [assignment.get(params.parameter_salt), Math.min(Math.floor(n * 10000), 9999)];
  });
}
