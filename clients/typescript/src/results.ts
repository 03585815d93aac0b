/** What the client answers with: plain objects, which `JSON.stringify` takes. Times are seconds on the server. */

import {
  ExplainResultSchema,
  ModelVersionSchema,
  PredictionSchema,
  TimingSchema,
} from "./gen/explicate/v1/inference_service_pb.js";
import type * as inference from "./gen/explicate/v1/inference_service_pb.js";
import {
  ExplainOptionsSchema,
  PackedFeatureSchema,
  PackedQualitySchema,
  StopReasonSchema,
} from "./gen/explicate/v1/explanation_pb.js";
import type * as explanation from "./gen/explicate/v1/explanation_pb.js";
import type * as models from "./gen/explicate/v1/model_service_pb.js";
import type { ExplainOptions } from "./options.js";
import { unreadable } from "./rpcErrors.js";
import { nameOf, plain } from "./values.js";
import type { Feature, Plain, Prediction, SegmentMap } from "./values.js";

/** What answered. */
export type ModelVersion = Plain<inference.ModelVersion>;
/** Where the time went, in seconds on the server. */
export type Timing = Plain<inference.Timing>;
/** What each feature adds to one output, in the features' order. NaN is what could not be estimated. */
export type Attribution = Plain<explanation.Attribution>;
/** How far the numbers can be trusted. */
export type Quality = Plain<explanation.Quality>;
/** The options of an explanation as the server resolved them: `explain(model, input, options)` repeats it. */
export type ResolvedOptions = Plain<explanation.ExplainOptions> & ExplainOptions;
/** One version of a model as the server knows it. */
export type ModelStatus = Plain<models.ModelStatus>;
/** One version of a model in full: its manifest, methods, limits and model card. */
export type ModelDescription = Plain<models.GetModelResponse>;

/** Predictions in the order of the inputs, and what made them. */
export interface PredictResult {
  readonly predictions: readonly Prediction[];
  readonly model: ModelVersion;
  readonly timing: Timing;
}

/** The attributions of a prediction to the features of its input, with their cost and quality. */
export interface Explanation extends Omit<Plain<explanation.Explanation>, "options" | "quality"> {
  readonly options: ResolvedOptions;
  readonly quality: Quality;
}

/** A prediction and its explanation, both by one version of the model. */
export interface ExplainResult {
  readonly prediction: Prediction;
  readonly explanation: Explanation;
  readonly model: ModelVersion;
  readonly timing: Timing;
  /** False for the answers of a stream that are not the last. */
  readonly final: boolean;
}

/** One feature's line of an attribution. */
export interface Contribution {
  readonly name: string;
  readonly value: number;
  readonly standardError: number;
  readonly lower: number;
  readonly upper: number;
  readonly feature: Feature;
}

/** The answers for the rows of a table, in order. */
export interface TablePredictions {
  /** The classes, by index; empty for a regression. */
  readonly classLabels: readonly string[];
  /** The most probable class of each row; empty for a regression. */
  readonly labels: readonly string[];
  /** Of each row, its probabilities by class; empty for a regression. */
  readonly probabilities: readonly (readonly number[])[];
  /** The answer of a regression for each row, else empty. */
  readonly values: readonly number[];
  readonly unknownCategoryColumns: readonly string[];
}

export interface PredictTableResult extends TablePredictions {
  readonly model: ModelVersion;
  readonly timing: Timing;
}

/** What each feature adds to one output of each row: arrays of rows, each with one number per feature. */
export interface TableAttribution {
  readonly classIndices: readonly number[];
  readonly baselineValues: readonly number[];
  readonly instanceValues: readonly number[];
  readonly values: readonly (readonly number[])[];
  readonly standardErrors: readonly (readonly number[])[];
  readonly lower: readonly (readonly number[])[];
  readonly upper: readonly (readonly number[])[];
  readonly referenceIndex: number | undefined;
}

/** Predictions and explanations of the rows of a table, in order, by one version of the model. */
export interface ExplainTableResult {
  readonly predictions: TablePredictions;
  readonly features: readonly Plain<explanation.PackedFeature>[];
  readonly attributions: readonly TableAttribution[];
  readonly quality: Plain<explanation.PackedQuality> | undefined;
  readonly classLabels: readonly string[];
  readonly evaluations: readonly number[];
  readonly rounds: readonly number[];
  readonly stopReasons: readonly string[];
  readonly converged: readonly boolean[];
  readonly methodVersion: string;
  readonly options: ResolvedOptions;
  readonly model: ModelVersion;
  readonly timing: Timing;
}

/** The features of `explanation.attributions[output]` with their numbers, in reading order. */
export function contributions(explanation: Explanation, output = 0): Contribution[] {
  const attribution = explanation.attributions[output];
  if (!attribution)
    throw new RangeError(`there are ${explanation.attributions.length} attributions, none at ${output}`);
  const at = (numbers: readonly number[], place: number) => numbers[place] ?? NaN;
  return explanation.features.map((feature, place) => ({
    name: feature.name,
    value: at(attribution.values, place),
    standardError: at(attribution.standardErrors, place),
    lower: at(attribution.lower, place),
    upper: at(attribution.upper, place),
    feature,
  }));
}

/** The `count` features of `explanation.attributions[output]` that add or take the most, the strongest first. */
export function top(explanation: Explanation, count = Infinity, output = 0): Contribution[] {
  const strength = ({ value }: Contribution) => (Number.isNaN(value) ? -1 : Math.abs(value));
  return contributions(explanation, output)
    .sort((one, other) => strength(other) - strength(one))
    .slice(0, count);
}

export function predictResult(response: inference.PredictResponse): PredictResult {
  return { predictions: response.predictions.map((each) => plain(PredictionSchema, each)), ...madeBy(response) };
}

export function predictTableResult(response: inference.PredictResponse): PredictTableResult {
  return { ...tablePredictions(needed(response.packed)), ...madeBy(response) };
}

/**
 * Reads the answer of Explain, or one after the other those of StreamExplain. An answer of a stream leaves out the features
 * and the segment map that the one before it had; here each has them.
 */
export class ExplainAnswers {
  #features: readonly Feature[] = [];
  #segmentMap: SegmentMap | undefined;

  read(message: inference.ExplainResult | undefined, final: boolean): ExplainResult {
    const { prediction, explanation, model, timing } = plain(ExplainResultSchema, needed(message));
    const told = needed(explanation);
    if (told.features.length > 0) {
      this.#features = told.features;
      this.#segmentMap = told.segmentMap;
    }
    const whole = {
      ...told,
      features: this.#features,
      segmentMap: this.#segmentMap,
      options: needed(told.options) as ResolvedOptions,
      quality: needed(told.quality),
    };
    return { prediction: needed(prediction), explanation: whole, model: needed(model), timing: needed(timing), final };
  }
}

export function explainTableResult(response: inference.ExplainTableResponse): ExplainTableResult {
  const packed = needed(response.explanation);
  return {
    predictions: tablePredictions(needed(response.predictions)),
    features: packed.features.map((each) => plain(PackedFeatureSchema, each)),
    attributions: packed.attributions.map((each) => tableAttribution(each, packed.features.length)),
    quality: packed.quality && plain(PackedQualitySchema, packed.quality),
    classLabels: packed.classLabels,
    evaluations: packed.evaluations,
    rounds: packed.rounds,
    stopReasons: packed.stopReasons.map((reason) => nameOf(StopReasonSchema, reason)),
    converged: packed.converged,
    methodVersion: packed.methodVersion,
    options: plain(ExplainOptionsSchema, needed(packed.options)) as ResolvedOptions,
    ...madeBy(response),
  };
}

function tableAttribution(packed: explanation.PackedAttribution, features: number): TableAttribution {
  const rows = (numbers: readonly number[]) => inRows(numbers, features, packed.classIndices.length);
  return {
    classIndices: packed.classIndices,
    baselineValues: packed.baselineValues,
    instanceValues: packed.instanceValues,
    values: rows(packed.values),
    standardErrors: rows(packed.standardErrors),
    lower: rows(packed.lower),
    upper: rows(packed.upper),
    referenceIndex: packed.referenceIndex,
  };
}

function tablePredictions({
  classLabels,
  scores,
  unknownCategoryColumns,
}: inference.PackedPredictions): TablePredictions {
  const classes = classLabels.length;
  const probabilities = classes ? inRows(scores, classes, scores.length / classes) : [];
  const best = (row: readonly number[]) => classLabels[row.indexOf(Math.max(...row))] ?? "";
  return {
    classLabels,
    labels: probabilities.map(best),
    probabilities,
    values: classes ? [] : scores,
    unknownCategoryColumns,
  };
}

function inRows(numbers: readonly number[], width: number, rows: number): number[][] {
  return Array.from({ length: rows }, (_, row) => numbers.slice(row * width, (row + 1) * width));
}

interface Made {
  readonly model?: inference.ModelVersion | undefined;
  readonly timing?: inference.Timing | undefined;
}

function madeBy({ model, timing }: Made): { model: ModelVersion; timing: Timing } {
  return { model: plain(ModelVersionSchema, needed(model)), timing: plain(TimingSchema, needed(timing)) };
}

/** A part that every answer of a server of this version has. */
function needed<T>(part: T | undefined): T {
  if (part === undefined) throw unreadable("the server");
  return part;
}
