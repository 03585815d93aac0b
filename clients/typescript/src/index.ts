/** The client of Explicate for Node: predictions and the reasons for them. */

export { Explicate } from "./client.js";
export type { ExplainCallOptions, HealthOptions, PredictOptions, VersionChoice } from "./client.js";
export type { ClientOptions, TlsOptions } from "./channel.js";
export type { CallOptions } from "./connection.js";
export * from "./errors.js";
export type { CellValue, Input, Row, Table } from "./inputs.js";
export type { ManyOptions, Outcome } from "./many.js";
export type { ExplainOptions } from "./options.js";
export { contributions, top } from "./results.js";
export type {
  Attribution,
  Contribution,
  Explanation,
  ExplainResult,
  ExplainTableResult,
  ModelDescription,
  ModelStatus,
  ModelVersion,
  PredictResult,
  PredictTableResult,
  Quality,
  ResolvedOptions,
  TableAttribution,
  TablePredictions,
  Timing,
} from "./results.js";
export type {
  AnsweredCell,
  ClassChoice,
  Contrast,
  Feature,
  Plain,
  Prediction,
  SegmentMap,
  Span,
  Target,
} from "./values.js";
