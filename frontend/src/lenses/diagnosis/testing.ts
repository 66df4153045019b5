/** Helpers of the tests: findings as the server would send them, parsed. */
import { type Diagnosis, parseDiagnosis } from "../../data/diagnosis";

export type Json = Record<string, unknown>;

export const evidenceJson = (more: Json = {}): Json => ({
  statistic: "gradient/rms",
  caption: "It falls.",
  rows: ["a"],
  steps: [0, 10],
  values: [[1], [0.1]],
  expected: null,
  ...more,
});

export const findingJson = (more: Json = {}): Json => ({
  code: "vanishing-gradient",
  severity: "critical",
  layers: ["a"],
  first_step: 0,
  last_step: 400,
  message: "It falls.",
  why: "W.",
  remedy: "R.",
  evidence: [],
  effects: [],
  ...more,
});

export const diagnosisOf = (findings: readonly Json[], more: Json = {}): Diagnosis =>
  parseDiagnosis({ v: 1, run: "r", version: "1", steps: [0, 400], findings, checks: [], notes: [], ...more });
