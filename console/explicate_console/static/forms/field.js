// One field of a form: its name, what to give with unit and range, and what is wrong with it, tied together for screen readers.
import { createContext, html, useContext } from "/static/vendor/htm-preact-standalone.js";

/** What is wrong at a path such as "options.seed"; with `inside` also at what lies inside of it. */
export function errorsAt(errors, path, inside = false) {
  return (errors ?? []).filter(({ field }) =>
    field === path || (inside && (field.startsWith(`${path}.`) || field.startsWith(`${path}[`))));
}

/** The violations of a failed call, with Predict's paths as Explain writes them: "inputs[0].text" is "input.text". */
export function fieldErrors(error) {
  return (error?.violations ?? []).map(({ field, description }) =>
    ({ field: (field ?? "").replace(/^inputs\[0\]/, "input").replace(/^spec\./, ""), description: description ?? "is not right" }));
}

/** Keeps the ids of two forms on one page apart: <${Scope.Provider} value="left">. */
export const Scope = createContext("");

/** The id of the control at a path. */
export const idOf = (path, scope = "") => `field${scope}-${path.replace(/[^A-Za-z0-9_-]/g, (letter) => `-${letter.codePointAt(0).toString(16)}-`)}`;

/**
 * A label, a control and what belongs to it. `children` is a function that gets the attributes of the control.
 * @param {{path: string, label: any, hint?: any, errors?: {field: string, description: string}[], inside?: boolean, wide?: boolean, children: Function}} props
 */
export function Field({ path, label, hint, errors, inside, wide, children }) {
  const wrong = errorsAt(errors, path, inside);
  const id = idOf(path, useContext(Scope));
  const attributes = {
    id,
    "data-path": path,
    "aria-invalid": wrong.length ? "true" : undefined,
    "aria-describedby": [hint && `${id}-hint`, wrong.length && `${id}-wrong`].filter(Boolean).join(" ") || undefined,
  };
  return html`<div class=${`field ${wide ? "wide-field" : ""} ${wrong.length ? "wrong" : ""}`}>
    <label for=${id} dir="auto">${label}</label>
    ${children(attributes)}
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    ${wrong.length > 0 && html`<p class="field-error" id=${`${id}-wrong`} dir="auto">${wrong.map((each) => each.description).join("; ")}</p>`}
  </div>`;
}

/** Moves the focus to the first field of `root` with an error, opening what hides it; whether there was one. */
export function focusFirstError(root) {
  const first = root?.querySelector('[aria-invalid="true"]');
  if (!first) return false;
  for (let at = first.parentElement; at && at !== root; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  first.focus();
  return true;
}
