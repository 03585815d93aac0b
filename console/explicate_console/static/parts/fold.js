// Where parts are chosen, folded away until it is opened, with what is chosen so far in its heading.
import { html, useState } from "/static/vendor/htm-preact-standalone.js";
import { Later } from "/static/later.js";
import { placed } from "/static/parts/players.js";

const MOST_DROPPED = 3;

/** "2 always there, 1 group", or nothing. */
function chosenWords(info, players, input) {
  const { fixed, groups } = placed(info, players, input);
  return [fixed.length && `${fixed.length} always there`, groups.length && `${groups.length} ${groups.length === 1 ? "group" : "groups"}`].filter(Boolean).join(", ");
}

/** @param {{title: string, module: string, info: object, players?: object, input?: object, onOpen?: Function}} props all but title and onOpen go to the module's component */
export function PartsFold({ title, onOpen, ...props }) {
  const [opened, setOpened] = useState(false);
  const { info, players, input } = props;
  const told = chosenWords(info, players, input);
  const dropped = players?.dropped ?? [];
  const toggled = ({ target: { open } }) => {
    if (open) setOpened(true);
    onOpen?.(open);
  };
  return html`<div class="wide-field"><details class="parts" onToggle=${toggled}>
      <summary>${title} ${told && html`<span class="hint">(${told})</span>`}</summary>
      ${(opened || told) && html`<${Later} ...${props} />`}</details>
    <p class="hint" role="status" dir="auto">${dropped.length > 0 && `No longer chosen, since the input has changed: ${dropped.slice(0, MOST_DROPPED).join(", ")}${dropped.length > MOST_DROPPED ? ", …" : ""}.`}</p></div>`;
}
