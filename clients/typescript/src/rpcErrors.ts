/**
 * From what gRPC raises to the classes of `errors.ts`.
 *
 * A server describes an error with a google.rpc.Status in the trailing metadata (https://google.aip.dev/193). An error
 * that gRPC itself made, such as a refused connection, has none; then the text here says what to do.
 */

import { fromBinary } from "@bufbuild/protobuf";
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import type { Metadata, ServiceError } from "@grpc/grpc-js";

import * as errors from "./errors.js";
import type { ErrorDetails, ServerError } from "./errors.js";
import * as rpc from "./gen/google/rpc/errors_pb.js";

const DETAILS_KEY = "grpc-status-details-bin";
/** Milliseconds after which to try again, or what is no such number for never; also from a proxy (gRPC's A6). */
const PUSHBACK_KEY = "grpc-retry-pushback-ms";
const MILLISECONDS = 1e3;

type Kind = new (message: string, details: ErrorDetails, options?: ErrorOptions) => ServerError;

const KIND_OF_CODE: Readonly<Partial<Record<string, Kind>>> = {
  INVALID_ARGUMENT: errors.InvalidArgument,
  NOT_FOUND: errors.NotFound,
  FAILED_PRECONDITION: errors.FailedPrecondition,
  ABORTED: errors.Aborted,
  RESOURCE_EXHAUSTED: errors.Overloaded,
  UNAVAILABLE: errors.Unavailable,
  DEADLINE_EXCEEDED: errors.DeadlineExceeded,
  UNAUTHENTICATED: errors.Unauthenticated,
  PERMISSION_DENIED: errors.PermissionDenied,
  CANCELLED: errors.Cancelled,
  INTERNAL: errors.InternalError,
};
/** Unlike the other RESOURCE_EXHAUSTED, coming back later does not help. */
const TOO_LARGE = new Set(["MESSAGE_TOO_LARGE", "ANSWER_TOO_LARGE"]);

/** The typed error for a failed call to the server at `target`. */
export function fromServiceError(error: ServiceError, target: string): ServerError {
  const code = status[error.code] ?? "UNKNOWN";
  const told = richStatus(error.metadata);
  const pushback = pushbackSeconds(error.metadata);
  if (!told) return fromGrpcItself({ code, retryAfterSeconds: pushback }, error, target);
  const details = detailsOf(code, told, pushback);
  const kind = TOO_LARGE.has(details.reason) ? errors.MessageTooLarge : (KIND_OF_CODE[code] ?? errors.ServerError);
  return new kind(messageOf(told.message || error.details, details), details, { cause: error });
}

/** The error of a call that this program cancelled, whose signal gave this reason. */
export function cancelled(reason: unknown, target: string): ServerError {
  if (reason instanceof DOMException && reason.name === "TimeoutError") {
    // Of AbortSignal.timeout: a deadline by another name.
    return new errors.DeadlineExceeded(
      `no answer from ${target} in time`,
      { code: "DEADLINE_EXCEEDED" },
      { cause: reason },
    );
  }
  return new errors.Cancelled("the call was cancelled", { code: "CANCELLED" }, { cause: reason });
}

/** The error of an answer that is none of this contract. */
export function unreadable(target: string, cause?: unknown): ServerError {
  const message = `the answer of ${target} cannot be read; is it an Explicate server of this version?`;
  return new errors.InternalError(message, { code: "INTERNAL" }, { cause });
}

function richStatus(metadata: Metadata | undefined): rpc.Status | undefined {
  const packed = metadata?.get(DETAILS_KEY)[0];
  if (!(packed instanceof Uint8Array)) return undefined;
  try {
    return fromBinary(rpc.StatusSchema, packed);
  } catch {
    return undefined; // not ours, a broken proxy's perhaps; the plain code and text still count
  }
}

function pushbackSeconds(metadata: Metadata | undefined): number | undefined {
  const told = metadata?.get(PUSHBACK_KEY)[0];
  if (told === undefined) return undefined;
  return /^\d+$/.test(String(told)) ? Number(told) / MILLISECONDS : Infinity;
}

function detailsOf(code: string, told: rpc.Status, pushback: number | undefined) {
  const info = unpacked(told, rpc.ErrorInfoSchema);
  const bad = unpacked(told, rpc.BadRequestSchema);
  const delay = unpacked(told, rpc.RetryInfoSchema)?.retryDelay;
  const resource = unpacked(told, rpc.ResourceInfoSchema);
  const metadata = { ...info?.metadata };
  return {
    code,
    reason: info?.reason ?? "",
    metadata,
    violations: (bad?.fieldViolations ?? []).map(({ field, description }) => ({ field, description })),
    resource: resource && { type: resource.resourceType, name: resource.resourceName },
    retryAfterSeconds: delay && pushback !== Infinity ? Number(delay.seconds) + delay.nanos / 1e9 : pushback,
    requestId: unpacked(told, rpc.RequestInfoSchema)?.requestId ?? metadata["request_id"] ?? "",
  };
}

function unpacked<Desc extends DescMessage>(told: rpc.Status, schema: Desc): MessageShape<Desc> | undefined {
  for (const packed of told.details) {
    const message = anyUnpack(packed, schema);
    if (message) return message;
  }
  return undefined;
}

/** The server's text, with the bad fields it leaves out and, for a fault of the server, the request id. */
function messageOf(text: string, details: ReturnType<typeof detailsOf>): string {
  const missing = details.violations
    .filter(({ description }) => !text.includes(description))
    .map(({ field, description }) => `${field}: ${description}`);
  const message = [text, ...missing].filter(Boolean).join("; ") || details.reason || details.code;
  return details.code === "INTERNAL" && details.requestId ? `${message} (request ${details.requestId})` : message;
}

/** An error without our details: gRPC in this process, a proxy, or a server of another kind made it. */
function fromGrpcItself(details: ErrorDetails, error: ServiceError, target: string): ServerError {
  const text = error.details;
  const made = (kind: Kind, message: string) => new kind(message, details, { cause: error });
  switch (error.code) {
    case status.UNAVAILABLE:
      return made(errors.Unavailable, `cannot reach a server at ${target} (${text}); is it running there?`);
    case status.CANCELLED: // not by this program, see `cancelled`
      return made(errors.Unavailable, `the server at ${target} ended the call, as one does that stops`);
    case status.DEADLINE_EXCEEDED:
      return made(
        errors.DeadlineExceeded,
        `no answer from ${target} in time; give it longer, or see whether a server runs there`,
      );
    case status.RESOURCE_EXHAUSTED:
      if (/larger than|too large|message length/i.test(text)) {
        return made(errors.MessageTooLarge, `the message is over the size limit (${text}); send fewer inputs`);
      }
      return made(errors.Overloaded, `${details.code} from ${target}: ${text}`);
    case status.UNIMPLEMENTED:
      return made(errors.ServerError, `${target} does not know this call; is it an Explicate server of this version?`);
    default:
      return made(KIND_OF_CODE[details.code] ?? errors.ServerError, `${details.code} from ${target}: ${text}`);
  }
}
