/** The generated messages and services, for what the client has no method for. */

export * from "./gen/explicate/v1/bundle_pb.js";
export * from "./gen/explicate/v1/explanation_pb.js";
export * from "./gen/explicate/v1/inference_service_pb.js";
export * from "./gen/explicate/v1/model_service_pb.js";
export * from "./gen/explicate/v1/table_pb.js";
