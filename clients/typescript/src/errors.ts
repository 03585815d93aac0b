/**
 * The errors of the client: one class for each thing that a caller can do about it.
 *
 *     ExplicateError               everything below
 *     ├── UsageError               a call was written wrongly: correct the program
 *     └── ServerError              a call failed, with the server's code, reason and details
 *         ├── InvalidArgument      a field of the request is wrong: `violations` says which; correct it
 *         ├── MessageTooLarge      the request or the answer is over the size limit: send fewer inputs
 *         ├── NotFound             no such model, version or label
 *         ├── FailedPrecondition   the model is not loaded or does not do this
 *         ├── Aborted              another caller changed it first: look again
 *         ├── Overloaded           the server's queue is full: try again after `retryAfterSeconds`
 *         ├── Unavailable          the server cannot be reached or is going away: try again later
 *         ├── DeadlineExceeded     no answer in time: give more time, or ask for less
 *         ├── Unauthenticated      no valid token
 *         ├── PermissionDenied     the token does not allow this
 *         ├── Cancelled            this program cancelled the call
 *         └── InternalError        the server's fault: report it with `requestId`
 */

/** Base of every error that a caller can expect. Its message is one sentence that says what to do. */
export class ExplicateError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A call was written wrongly. */
export class UsageError extends ExplicateError {}

/** A bad field of a request, such as `inputs[3].text`, and why it is bad. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** What a server said about a failed call, besides its message. */
export interface ErrorDetails {
  /** Name of the gRPC status code, such as "NOT_FOUND". */
  readonly code: string;
  /** Stable word for the cause, such as "MODEL_NOT_FOUND"; empty if the server gave none. */
  readonly reason?: string;
  /** The values that belong to the reason. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly FieldViolation[];
  /** What is missing, such as the model "reviews". */
  readonly resource?: { readonly type: string; readonly name: string } | undefined;
  /** Seconds after which the server asks to be tried again; `Infinity` for never. */
  readonly retryAfterSeconds?: number | undefined;
  /** The call's name in the server's log. */
  readonly requestId?: string;
}

/** A call failed. */
export class ServerError extends ExplicateError implements ErrorDetails {
  readonly code: string;
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];
  readonly resource: { readonly type: string; readonly name: string } | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly requestId: string;

  constructor(message: string, details: ErrorDetails, options?: ErrorOptions) {
    super(message, options);
    this.code = details.code;
    this.reason = details.reason ?? "";
    this.metadata = details.metadata ?? {};
    this.violations = details.violations ?? [];
    this.resource = details.resource;
    this.retryAfterSeconds = details.retryAfterSeconds;
    this.requestId = details.requestId ?? "";
  }
}

/** A field of the request is wrong; `violations` names it. */
export class InvalidArgument extends ServerError {}
/** The request or its answer is over the size limit. */
export class MessageTooLarge extends ServerError {}
/** No such model, version or label. */
export class NotFound extends ServerError {}
/** The model is known but not loaded, or the input or method does not fit it. */
export class FailedPrecondition extends ServerError {}
/** A label was not where the call expected it; nothing was changed. */
export class Aborted extends ServerError {}
/** The server's queue is full; try again after `retryAfterSeconds`. */
export class Overloaded extends ServerError {}
/** The server cannot be reached, is going away, or serves nothing yet. */
export class Unavailable extends ServerError {}
/** No answer came before the call's deadline. */
export class DeadlineExceeded extends ServerError {}
/** The call carried no valid token. */
export class Unauthenticated extends ServerError {}
/** The token does not allow this call. */
export class PermissionDenied extends ServerError {}
/** The call was cancelled; `cause` is the signal's reason. */
export class Cancelled extends ServerError {}
/** The server failed; its log tells more under `requestId`. */
export class InternalError extends ServerError {}

/** The error for a value that cannot even be sent, in the form in which a server would refuse it. */
export function invalidArgument(field: string, description: string): InvalidArgument {
  const details = { code: "INVALID_ARGUMENT", reason: "INVALID_FIELD", violations: [{ field, description }] };
  return new InvalidArgument(`${field}: ${description}`, details);
}
