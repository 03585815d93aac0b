// The changes that an administrator may ask for: what each will do, in sentences, and what it sends. Pure functions.
import { percent } from "./statuses.js";

const LIVE = "live";
const CANARY = "canary";
const SERVES = "MODEL_STATE_READY";

/** Label by name: {version, previous}, from GetModel's answer; previous is 0 where there was none. */
export function pointsOf(answer) {
  const entries = (answer.labels ?? []).map(({ label, version, previousVersion }) => [label, { version, previous: previousVersion ?? 0 }]);
  return Object.fromEntries(entries);
}

/** {canary, shadow}: the shares of GetModel's answer. */
export function sharesOf(answer) {
  return { canary: answer.traffic?.canaryShare ?? 0, shadow: answer.traffic?.shadowShare ?? 0 };
}

/** The changes that the version of GetModel's answer allows now, the usual one first: [{kind, version, label?}]. */
export function changesOf(answer) {
  const { version = 0, state, labels = [] } = answer.status;
  if (!version) return [];
  const offered = [];
  const loaded = state === SERVES;
  if (!labels.includes(LIVE)) offered.push({ kind: "activate", version, label: LIVE });
  if (!loaded && state !== "MODEL_STATE_LOADING") offered.push({ kind: "load", version });
  offered.push({ kind: "label", version, label: "" });
  if (loaded && !labels.length) offered.push({ kind: "unload", version });
  return offered;
}

/** The button of a change. */
export function titleOf(change) {
  const { kind, version, label } = change;
  return {
    activate: `Make version ${version} live`,
    label: `Give version ${version} a label`,
    load: `Load version ${version}`,
    unload: `Unload version ${version}`,
    rollback: `Roll back ${label} to version ${version}`,
    unlabel: `Remove the label ${label}`,
    traffic: "Set the canary's traffic",
  }[kind];
}

/** What will happen, exactly: {sentences: [..], undo: ".."}. `answer` is GetModel's of the version that is changed. */
export function told(change, answer) {
  return TOLD[change.kind](change, answer, pointsOf(answer));
}

const TOLD = {
  activate: toldOfLabel,
  label: toldOfLabel,
  rollback: toldOfRollback,
  unlabel: toldOfRemoval,
  traffic: toldOfTraffic,
  load({ version }, answer) {
    return {
      sentences: [`Version ${version} of ${answer.status.model} is verified, loaded and warmed up beside those that serve. It gets no label: calls reach it by its number alone.`],
      undo: `Unload version ${version}.`,
    };
  },
  unload({ version }, answer) {
    const before = answer.status.previousOf ?? [];
    return {
      sentences: [
        `Version ${version} of ${answer.status.model} takes nothing new, ends the calls that it answers now, and leaves the memory. Calls that name it are refused from then on.`,
        ...(before.length ? [`It is where a roll back of ${before.join(" and ")} would go: that has to load it again then.`] : []),
      ],
      undo: `Load version ${version}.`,
    };
  },
};

function toldOfLabel({ version, label }, answer, points) {
  const { model, state } = answer.status;
  const now = points[label];
  const sentences = [label === LIVE ? answersFromNow(version, answer) : `The label ${label} of ${model} points at version ${version} from now on: calls that name the label reach it.`];
  if (!now) sentences.push(`Nothing is ${label} now.`);
  else if (now.version !== version) sentences.push(...leaving(now, label, version));
  if (state !== SERVES) sentences.push("It is not loaded: it is verified, loaded and warmed up first, and if that fails nothing changes.");
  if (label === CANARY) sentences.push(ofCanary(answer));
  return { sentences, undo: now && now.version !== version ? `Roll back ${label} (to version ${now.version}).` : `Remove the label ${label}.` };
}

function toldOfRollback({ version, label }, answer, points) {
  const now = points[label]?.version ?? 0;
  const sentences = [label === LIVE ? answersFromNow(version, answer) : `The label ${label} points at version ${version} again.`];
  sentences.push(`Version ${now}, which is ${label} now, becomes the one before.`);
  if (answer.status.state !== SERVES) sentences.push(`Version ${version} is not loaded: it is loaded first, and if that fails nothing changes.`);
  return { sentences, undo: `Roll back ${label} once more (to version ${now}).` };
}

function toldOfRemoval({ version, label }, answer) {
  const { model } = answer.status;
  const others = (answer.status.labels ?? []).filter((each) => each !== label);
  const sentences = [label === LIVE ? `Nothing is live: calls of ${model} that name no version are refused from now on.` : `The label ${label} of ${model} is gone: calls that name it are refused.`];
  sentences.push(others.length ? `Version ${version} stays loaded: it is ${others.join(" and ")}.` : `Version ${version} leaves the memory unless something else holds it.`);
  if (label === CANARY) sentences.push("The shares of canary and shadow become 0.");
  return { sentences, undo: `Give version ${version} the label ${label} again${label === CANARY ? ", and set the shares" : ""}.` };
}

function toldOfTraffic({ canary, shadow }, answer, points) {
  const version = points[CANARY]?.version;
  const before = sharesOf(answer);
  return {
    sentences: [
      `Of the calls of ${answer.status.model} that name no version and no label, version ${version} (canary) answers ${percent(canary)}; the live version answers the others.`,
      `Of those others, ${percent(shadow)} are asked of version ${version} as well, in the background: nobody waits for it, and what it says is only compared.`,
      "The same input always goes the same way.",
    ],
    undo: `Set the shares to ${percent(before.canary)} and ${percent(before.shadow)} again.`,
  };
}

function answersFromNow(version, answer) {
  const { canary } = sharesOf(answer);
  const other = pointsOf(answer)[CANARY]?.version;
  const but = canary && other && other !== version ? `, but for the ${percent(canary)} that the canary, version ${other}, answers` : "";
  return `Version ${version} answers all calls of ${answer.status.model} that name no version, from now on and after a restart${but}.`;
}

function leaving(now, label, version) {
  const told = [label === LIVE ? `Version ${now.version}, live until now, stays loaded as the previous one, unless the server is set to keep none.` : `It pointed at version ${now.version} until now, which leaves the memory unless something else holds it.`];
  if (label === LIVE && now.previous && now.previous !== version) told.push(`Version ${now.previous}, the previous one until now, leaves the memory unless another label holds it.`);
  return told;
}

function ofCanary(answer) {
  const { canary, shadow } = sharesOf(answer);
  return canary || shadow ? `The shares stay as they are: it answers ${percent(canary)} and shadows ${percent(shadow)} of the others.` : "It answers nothing by itself until the canary's traffic is set.";
}

/** What a change sends: {method, request}. `answer` is what was told; the server refuses if its label has moved since. */
export function requestOf(change, answer, why = "") {
  const { kind, version, label } = change;
  const model = answer.status.model;
  const at = pointsOf(answer)[label]?.version;
  const override = why.trim() ? { overrideStandard: why.trim() } : {};
  const expected = at ? { expectedVersion: at } : { expectedNone: null };
  const calls = {
    activate: ["ActivateVersion", { model, version, label, ...expected, ...override }],
    label: ["ActivateVersion", { model, version, label, ...expected, ...override }],
    rollback: ["RollbackModel", { model, label, expectedVersion: at }],
    unlabel: ["RemoveLabel", { model, label, expectedVersion: at }],
    load: ["LoadModel", { model, version, ...override }],
    unload: ["UnloadModel", { model, version }],
    traffic: ["SetTraffic", { model, traffic: { canaryShare: change.canary, shadowShare: change.shadow } }],
  };
  const [method, request] = calls[kind];
  return { method: `ModelService/${method}`, request };
}

/** What another person changed between two answers of GetModel, in sentences; empty if nothing that matters here. */
export function changedMeanwhile(before, after) {
  const told = [];
  const [was, is] = [pointsOf(before), pointsOf(after)];
  for (const label of new Set([...Object.keys(was), ...Object.keys(is)])) {
    const [old, now] = [was[label], is[label]];
    if (!now) told.push(`The label ${label} was removed; it pointed at version ${old.version}.`);
    else if (!old) told.push(`The label ${label} is new and points at version ${now.version}.`);
    else if (old.version !== now.version) told.push(`The label ${label} points at version ${now.version} now, before at ${old.version}.`);
    else if (old.previous !== now.previous) told.push(`A roll back of ${label} would go to version ${now.previous || "none"} now, before to ${old.previous || "none"}.`);
  }
  const [oldShares, shares] = [sharesOf(before), sharesOf(after)];
  if (oldShares.canary !== shares.canary || oldShares.shadow !== shares.shadow) {
    told.push(`The canary answers ${percent(shares.canary)} and shadows ${percent(shares.shadow)} now, before ${percent(oldShares.canary)} and ${percent(oldShares.shadow)}.`);
  }
  if (before.status.bundleDigest !== after.status.bundleDigest) told.push(`Version ${after.status.version} has other files than before.`);
  if (settled(before) !== settled(after)) told.push(`Version ${after.status.version} ${settled(after)} now.`);
  return told;
}

function settled(answer) {
  return answer.status.state === SERVES ? "is loaded" : "is not loaded";
}

/** The change as it stands after another answer: a roll back goes where the label would go back to now. */
export function upToDate(change, answer) {
  return change.kind === "rollback" ? { ...change, version: pointsOf(answer)[change.label]?.previous ?? 0 } : change;
}

/** What became of it, in a sentence. `answer` is that of before. */
export function doneOf(change, answer) {
  const { kind, version, label } = change;
  const { model } = answer.status;
  const before = pointsOf(answer)[label]?.version;
  const was = before && before !== version ? `; before it was version ${before}` : "";
  return {
    activate: `Version ${version} of ${model} is ${label} now${was}.`,
    label: `Version ${version} of ${model} is ${label} now${was}.`,
    rollback: `Version ${version} of ${model} is ${label} again${was}.`,
    unlabel: `The label ${label} of ${model} is gone.`,
    load: `Version ${version} of ${model} is loaded.`,
    unload: `Version ${version} of ${model} has left the memory.`,
    traffic: `The canary of ${model} answers ${percent(change.canary)} and shadows ${percent(change.shadow)} of the others.`,
  }[kind];
}

/** What is wrong with the fields of a change, in a sentence; empty if nothing is. */
export function faultOf(change, answer) {
  if (change.kind === "rollback" && !change.version) return `There is nothing to roll ${change.label} back to any more.`;
  if (change.kind === "unlabel" && pointsOf(answer)[change.label]?.version !== change.version) return `The label ${change.label} does not point at version ${change.version} any more.`;
  if (change.kind === "label") {
    if (!change.label) return "Say which label.";
    if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(change.label)) return "A label has lower-case letters, digits, “.”, “_” and “-”, at most 64, and begins with a letter or digit.";
    if (pointsOf(answer)[change.label]?.version === change.version) return `The label ${change.label} points at version ${change.version} already.`;
  }
  if (change.kind === "traffic") {
    const good = [change.canary, change.shadow].every((part) => Number.isFinite(part) && part >= 0 && part <= 1);
    if (!good) return "A share is from 0 to 100 %.";
    if (!pointsOf(answer)[CANARY]) return "No version has the label canary any more.";
  }
  return "";
}

/** Why a change was refused, in sentences for who asked. */
export function refusal(error) {
  const words = sentence(error.message);
  const moved = error.code === "aborted" ? "Somebody else changed it meanwhile. " : "";
  if (error.code === "unauthenticated") return `${words} Give a token that has the right admin, with the button at the top. Nothing was changed.`;
  if (error.code === "permission_denied") return `${words} Nothing was changed.`;
  if (["unavailable", "deadline_exceeded", "canceled", "unknown"].includes(error.code)) {
    return `No answer came: ${words} A change that has begun runs to its end, so look at the list before asking again.`;
  }
  return `${moved}${words} Nothing was changed.`;
}

/** A message of the server as a sentence. */
function sentence(message) {
  const text = String(message ?? "").trim() || "no reason was given";
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
