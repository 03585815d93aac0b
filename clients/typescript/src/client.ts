/** The client. */

import { setTimeout as sleep } from "node:timers/promises";

import { create } from "@bufbuild/protobuf";

import { DEFAULT_TARGET } from "./channel.js";
import type { ClientOptions } from "./channel.js";
import { Connection } from "./connection.js";
import type { CallOptions } from "./connection.js";
import { DeadlineExceeded, Unavailable, UsageError } from "./errors.js";
import * as inference from "./gen/explicate/v1/inference_service_pb.js";
import * as models from "./gen/explicate/v1/model_service_pb.js";
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatusSchema,
} from "./gen/grpc/health/v1/health_pb.js";
import { inputMessage, tableMessage, typeName, unicodeText } from "./inputs.js";
import type { Input, Table } from "./inputs.js";
import { askMany } from "./many.js";
import type { ManyOptions, Outcome } from "./many.js";
import { int32, numberOfName, optionsMessage } from "./options.js";
import type { ExplainOptions } from "./options.js";
import { ExplainAnswers, explainTableResult, predictResult, predictTableResult } from "./results.js";
import type {
  ExplainResult,
  ExplainTableResult,
  ModelDescription,
  ModelStatus,
  PredictResult,
  PredictTableResult,
} from "./results.js";
import { nameOf, plain } from "./values.js";

/** Which version of a model; the live one if neither is given. */
export interface VersionChoice {
  readonly version?: number | undefined;
  readonly label?: string | undefined;
}

export interface PredictOptions extends CallOptions, VersionChoice {
  /** "interactive" (default), or "bulk" for batch work, which lets interactive requests go first. */
  readonly priority?: "interactive" | "bulk" | undefined;
}

export interface ExplainCallOptions extends PredictOptions, ExplainOptions {}

export interface HealthOptions extends CallOptions {
  /** Whether this model answers; any model if it is not given. */
  readonly model?: string | undefined;
  /** Whether the process is there, whatever it serves. */
  readonly alive?: boolean | undefined;
}

/** Milliseconds between two looks at a server that starts. */
const POLL_INTERVAL_MS = 100;

/**
 * Asks one Explicate server, or several addresses of it.
 *
 *     const client = new Explicate("models.internal:8500", { tls: true, token });
 *     const { prediction, explanation } = await client.explain("reviews", "Great soup, but the box was crushed.");
 *
 * Every method raises the errors of `errors.ts`. A call is asked again while the server is away: within its timeout if the
 * server has answered before, else for a second; and elsewhere, if one of several addresses has no room for it.
 */
export class Explicate {
  /** The address as it was given. */
  readonly target: string;
  readonly #connection: Connection;

  /**
   * target: "host:port", or any gRPC name such as "dns:///models.internal:8500" or "unix:/run/explicate.sock"; calls are
   * spread over its addresses.
   */
  constructor(target: string = DEFAULT_TARGET, options: ClientOptions = {}) {
    if (/^https?:/.test(target))
      throw new UsageError(`the target is host:port, without ${target.split("/")[0]}//; TLS is an option`);
    this.target = target;
    this.#connection = new Connection(target, options);
  }

  /** Close the connection; calls under way are cancelled. A program that ends need not call it. */
  close(): void {
    this.#connection.close();
  }

  /** Score inputs, in order. */
  async predict(model: string, inputs: readonly Input[], options: PredictOptions = {}): Promise<PredictResult> {
    if (!Array.isArray(inputs)) {
      throw new UsageError(
        `inputs must be an array of inputs, not ${typeName(inputs)}; for one write predict(model, [input])`,
      );
    }
    const request = create(inference.PredictRequestSchema, {
      model: modelRef(model, options),
      inputs: inputs.map((value: Input, place: number) => inputMessage(value, `inputs[${place}]`)),
      priority: priorityOf(options),
    });
    return predictResult(await this.#connection.ask(inference.InferenceService.method.predict, request, options));
  }

  /** Score the rows of a table in packed form, which is less to send than with `predict`. */
  async predictTable(model: string, table: Table, options: PredictOptions = {}): Promise<PredictTableResult> {
    const request = create(inference.PredictRequestSchema, {
      model: modelRef(model, options),
      table: tableMessage(table),
      priority: priorityOf(options),
    });
    return predictTableResult(await this.#connection.ask(inference.InferenceService.method.predict, request, options));
  }

  /**
   * Predict one input and say what each word, column or segment of it adds.
   *
   * When the time runs out, the answer is the best estimate so far, with `stopReason` "deadline".
   */
  async explain(model: string, input: Input, options: ExplainCallOptions = {}): Promise<ExplainResult> {
    const request = create(inference.ExplainRequestSchema, { spec: explainSpec(model, input, options) });
    const response = await this.#connection.ask(inference.InferenceService.method.explain, request, options);
    return new ExplainAnswers().read(response.result, true);
  }

  /**
   * Like `explain`, with estimates that get better while they come; the last one has `final` set.
   *
   * Leaving the loop over them cancels the call, and the server stops working on it.
   */
  async *streamExplain(
    model: string,
    input: Input,
    options: ExplainCallOptions = {},
  ): AsyncGenerator<ExplainResult, void, undefined> {
    const request = create(inference.StreamExplainRequestSchema, { spec: explainSpec(model, input, options) });
    const answers = new ExplainAnswers();
    const responses = this.#connection.stream(inference.InferenceService.method.streamExplain, request, options);
    for await (const response of responses) yield answers.read(response.result, response.final);
  }

  /**
   * Explain many inputs, a few at once; what became of each comes in the order of the inputs.
   *
   * A bad input costs the others nothing: its outcome has the error. One that all would have, such as a wrong option, model
   * or token, is thrown. The inputs may be endless, and are read as outcomes are taken. Leaving the loop cancels what is under way. Priority is "bulk" unless it is given.
   */
  explainMany<Given extends Input>(
    model: string,
    inputs: Iterable<Given> | AsyncIterable<Given>,
    options: ExplainCallOptions & ManyOptions = {},
  ): AsyncGenerator<Outcome<Given, ExplainResult>, void, undefined> {
    const { inFlight, patienceMs, signal, ...each } = options;
    if (inFlight !== undefined && !(inFlight >= 1)) throw new UsageError("inFlight must be 1 or more");
    return askMany(inputs, { inFlight, patienceMs }, signal, (input, own) =>
      this.explain(model, input, { priority: "bulk", ...each, signal: own }),
    );
  }

  /** Explain all rows of a table, at most `limits.maxExplainedRows`, which costs less than a call for each. */
  async explainTable(model: string, table: Table, options: ExplainCallOptions = {}): Promise<ExplainTableResult> {
    const request = create(inference.ExplainTableRequestSchema, {
      model: modelRef(model, options),
      table: tableMessage(table),
      options: optionsMessage(explainOptions(options)),
      priority: priorityOf(options),
    });
    return explainTableResult(
      await this.#connection.ask(inference.InferenceService.method.explainTable, request, options),
    );
  }

  /** Every model version the server knows, by name and version, the broken ones included. */
  async listModels(options: CallOptions = {}): Promise<ModelStatus[]> {
    const request = create(models.ListModelsRequestSchema);
    const response = await this.#connection.ask(models.ModelService.method.listModels, request, options);
    return response.models.map((status) => plain(models.ModelStatusSchema, status));
  }

  /** One version of a model in full. */
  async getModel(model: string, options: CallOptions & VersionChoice = {}): Promise<ModelDescription> {
    const request = create(models.GetModelRequestSchema, { model: unicodeText(model, "model"), ...versionOf(options) });
    const response = await this.#connection.ask(models.ModelService.method.getModel, request, options);
    return plain(models.GetModelResponseSchema, response);
  }

  /** "serving" or "not-serving": whether any model answers, or `model`; with `alive` whether the process does. */
  async health(options: HealthOptions = {}): Promise<string> {
    const ready = inference.InferenceService.typeName;
    const ofModel = options.model === undefined ? "" : `/${unicodeText(options.model, "model")}`;
    const request = create(HealthCheckRequestSchema, { service: options.alive ? "" : `${ready}${ofModel}` });
    const response = await this.#connection.ask(Health.method.check, request, options);
    return nameOf(HealthCheckResponse_ServingStatusSchema, response.status);
  }

  /** Return once the server serves `model`, or any model; raises DeadlineExceeded when the time is over. */
  async waitReady(options: CallOptions & { readonly model?: string | undefined } = {}): Promise<void> {
    const endsAt = performance.now() + (options.timeoutMs ?? this.#connection.timeoutMs);
    for (;;) {
      const leftMs = Math.max(0, endsAt - performance.now());
      const seen = await this.#seen({ ...options, timeoutMs: leftMs });
      if (seen === true) return;
      if (leftMs < POLL_INTERVAL_MS) {
        const wanted = options.model === undefined ? "any model" : `model ${options.model}`;
        throw new DeadlineExceeded(`the server at ${this.target} does not serve ${wanted} yet (${seen})`, {
          code: "DEADLINE_EXCEEDED",
        });
      }
      await sleep(POLL_INTERVAL_MS);
    }
  }

  /** Whether the model is ready, else what the server is doing. */
  async #seen(options: CallOptions & { readonly model?: string | undefined }): Promise<true | string> {
    try {
      const statuses = await this.listModels(options);
      const isReady = (each: ModelStatus) => each.state === "ready" && [undefined, each.model].includes(options.model);
      const told = statuses.map(({ model, version, state }) => `${model} ${version} is ${state}`).join(", ");
      return statuses.some(isReady) || told || "it knows no models";
    } catch (error) {
      if (error instanceof Unavailable || error instanceof DeadlineExceeded) return error.message;
      throw error;
    }
  }
}

const CALL_OPTIONS: ReadonlySet<string> = new Set<keyof PredictOptions>([
  "timeoutMs",
  "signal",
  "requestId",
  "version",
  "label",
  "priority",
]);

/** Those of the options that are about the explanation. */
function explainOptions(options: ExplainCallOptions): ExplainOptions {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !CALL_OPTIONS.has(name)));
}

function explainSpec(model: string, input: Input, options: ExplainCallOptions): inference.ExplainSpec {
  return create(inference.ExplainSpecSchema, {
    model: modelRef(model, options),
    input: inputMessage(input, "input"),
    options: optionsMessage(explainOptions(options)),
    priority: priorityOf(options),
  });
}

function modelRef(model: string, options: VersionChoice): inference.ModelRef {
  const { version, label } = versionOf(options);
  const name = unicodeText(model, "model");
  if (version !== undefined)
    return create(inference.ModelRefSchema, { model: name, selector: { case: "version", value: version } });
  if (label === undefined) return create(inference.ModelRefSchema, { model: name });
  return create(inference.ModelRefSchema, { model: name, selector: { case: "label", value: label } });
}

/** The version or the label that was given, once it is known that it can be sent. */
function versionOf({ version, label }: VersionChoice): { version?: number; label?: string } {
  if (version !== undefined && label !== undefined) throw new UsageError("give a version or a label, not both");
  if (label !== undefined) return { label: unicodeText(label, "label") };
  return version === undefined ? {} : { version: int32(version, "version") };
}

function priorityOf({ priority }: PredictOptions): inference.Priority {
  return priority === undefined ? 0 : numberOfName(inference.PrioritySchema, priority, "priority");
}
