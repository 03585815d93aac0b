// What benchmark standards say of a version, from GetModel's answer. Pure functions.

const VERDICTS = {
  met: { good: true, told: "Every requirement is met: the bound that could be bad clears its line." },
  waived: { good: null, told: "Met, but for what somebody answers for." },
  overridden: { good: null, told: "It does not meet the standard, and serves because somebody answered for that." },
  returned: { good: null, told: "It is or was live, and such a version may always return, whatever is required now." },
  "not met": { good: false, told: "At least one requirement is not met." },
  "cannot tell": { good: false, told: "A line lies between the bounds, or there were too few rows: more test rows would tell." },
};

/** {good: true | false | null, told} of a verdict: whether it is good, null where somebody answers for it. */
export function verdictOf(word) {
  return VERDICTS[word] ?? { good: false, told: "" };
}

/** The requirements that are told one by one: [{id, word: "waived" | "overridden" | "missed", reason, waiver}]. */
export function criteriaOf(required) {
  return (required?.unmet ?? []).map(({ requirement, reason, waiver }) => ({
    id: requirement || "the record as a whole",
    word: waiver ? "waived" : required.override ? "overridden" : "missed",
    reason: reason ?? "",
    waiver: waiver ?? null,
  }));
}

/** Whether the server keeps this version from serving for its standard, so that only an override loads it. */
export function isRefused(answer) {
  return answer.requiredStandard?.verdict === "not met" && answer.status.state !== "MODEL_STATE_READY";
}

/** What people decided about this version, on record: [{what, who, why, when}]. */
export function decisionsOf(answer) {
  const override = answer.requiredStandard?.override;
  const unmet = (answer.requiredStandard?.unmet ?? []).filter((one) => one.waiver).map((one) => one.waiver);
  const waivers = new Map();
  for (const waiver of [...(answer.bundle?.standard?.waivers ?? []), ...unmet]) waivers.set(JSON.stringify([waiver.requirement, waiver.who, waiver.until]), waiver);
  const told = [...waivers.values()].map(({ requirement, who, why, until }) => ({ what: `waived ${requirement}`, who, why, when: `until ${until}` }));
  return override ? [{ what: "overrode the standard", who: override.who, why: override.why, when: override.time }, ...told] : told;
}
