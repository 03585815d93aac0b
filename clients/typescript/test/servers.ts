/** The servers that whoever runs this suite has started, see tests/languages/test_typescript.py of the repository. */

import { readFileSync } from "node:fs";

import { Explicate } from "explicate";
import type { ClientOptions, Row } from "explicate";

interface Guarded {
  readonly address: string;
  readonly token: string;
  readonly blindToken: string;
  readonly ca: string;
  readonly serverName: string;
  readonly image: string;
}

interface Servers {
  /** The models "tiny", of texts, and "loans", of rows. */
  readonly open: string;
  /** TLS and tokens; the models "animals", of images, "losses", a regression of rows, and "entails", of pairs. */
  readonly guarded: Guarded;
  /** The model "tiny", and a process to be killed, which explains one input of a caller at a time. */
  readonly doomed: { readonly address: string; readonly pid: number };
}

export interface GoldenCall {
  readonly name: string;
  readonly model: string;
  readonly text: string | null;
  readonly row: Row | null;
  readonly options: Readonly<Record<"method" | "seed" | "max_evaluations" | "top_k", number | string | null>>;
  readonly expected: {
    readonly version: number;
    readonly label: string;
    readonly probability: number;
    readonly baseline: number;
    readonly instance: number;
    readonly evaluations: number;
    readonly features: readonly {
      readonly name: string;
      readonly value: number;
      readonly lower: number;
      readonly upper: number;
      readonly utf16_start: number | null;
      readonly utf16_end: number | null;
    }[];
    readonly lines: readonly string[];
  };
}

function environment(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: run this suite by tests/languages/test_typescript.py`);
  return value;
}

export const servers = JSON.parse(environment("EXPLICATE_SERVERS")) as Servers;
export const golden = JSON.parse(readFileSync(environment("EXPLICATE_GOLDEN"), "utf8")) as {
  calls: readonly GoldenCall[];
};

export function guardedClient(options: ClientOptions = {}): Explicate {
  const { address, token, ca, serverName } = servers.guarded;
  return new Explicate(address, { token, tls: { ca: readFileSync(ca), serverName }, ...options });
}

/** Options of an explanation that takes long enough to be cancelled. */
export const LONG = { method: "permutation-shap", maxEvaluations: 16_384, tolerance: 0 } as const;
export const LONG_TEXT = "this tea is great but the box was not good and it came very late ".repeat(3);
/** A row of "loans" and "losses". */
export const ROW: Row = {
  income: 1.5,
  purpose: "car",
  debt_short: -0.25,
  owner: true,
  age: 0.75,
  rating: "high",
  debt_long: null,
};
