/** Sends calls: a promise or an asynchronous iterator for each, with its deadline, its signal and its retries. */

import { defaultMaxListeners, getMaxListeners, setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { DescMessage, DescMethodServerStreaming, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { Client, Metadata } from "@grpc/grpc-js";
import type { CallOptions as GrpcCallOptions, ClientReadableStream, ServiceError } from "@grpc/grpc-js";

import {
  authorization,
  callTimeoutMs,
  channelCredentials,
  channelOptions,
  DEFAULT_TIMEOUT_MS,
  mayHaveOthers,
} from "./channel.js";
import type { ClientOptions } from "./channel.js";
import { invalidArgument, ServerError, UsageError } from "./errors.js";
import { Attempts, Retries } from "./retries.js";
import { cancelled, fromServiceError, unreadable } from "./rpcErrors.js";

/** What every call takes. */
export interface CallOptions {
  /** Milliseconds the call may take, retries included; `Infinity` for no deadline. Default: the client's. */
  readonly timeoutMs?: number | undefined;
  /** Cancels the call; the server then stops working on it. */
  readonly signal?: AbortSignal | undefined;
  /** What the server's log, traces and audit call this request; 1 to 64 of letters, digits and `._:-`. */
  readonly requestId?: string | undefined;
}

/** As the server's call_record.py has it. */
const REQUEST_ID = /^[A-Za-z0-9._:-]{1,64}$/;

interface Method {
  readonly name: string;
  readonly parent: { readonly typeName: string };
}
interface Cancellable {
  cancel(): void;
}

/** A channel to `target`, made at the first call. */
export class Connection {
  readonly #client: Client;
  readonly #authorization: string | undefined;
  /** Of a call that does not say otherwise. */
  readonly timeoutMs: number;
  readonly #retries: Retries;
  /** Calls under way, which `close` cancels. */
  readonly #open = new Set<Cancellable>();
  #closed = false;

  constructor(
    readonly target: string,
    options: ClientOptions,
  ) {
    this.#authorization = authorization(target, options);
    this.timeoutMs = callTimeoutMs(options.timeoutMs, DEFAULT_TIMEOUT_MS);
    this.#retries = new Retries(mayHaveOthers(target));
    this.#client = channelTo(target, options);
  }

  close(): void {
    this.#closed = true;
    for (const call of this.#open) call.cancel();
    this.#client.close();
  }

  /** The answer of a call. */
  async ask<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageShape<I>,
    options: CallOptions,
  ): Promise<MessageShape<O>> {
    const call = this.#prepared(method, toBinary(method.input, request), options);
    for (;;) {
      try {
        const answer = await call.unary();
        call.attempts.answered();
        return this.#read(method.output, answer);
      } catch (error) {
        await call.pauseOrThrow(error);
      }
    }
  }

  /** The answers of a call; leaving the loop over them cancels it. */
  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageShape<I>,
    options: CallOptions,
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    const call = this.#prepared(method, toBinary(method.input, request), options);
    for (;;) {
      let hasBegun = false;
      try {
        for await (const answer of call.answers()) {
          if (!hasBegun) call.attempts.answered();
          hasBegun = true;
          yield this.#read(method.output, answer);
        }
        return;
      } catch (error) {
        if (hasBegun) throw call.typed(error);
        await call.pauseOrThrow(error);
      }
    }
  }

  #read<O extends DescMessage>(schema: O, answer: Buffer): MessageShape<O> {
    try {
      return fromBinary(schema, answer);
    } catch (error) {
      throw unreadable(this.target, error);
    }
  }

  #prepared(method: Method, request: Uint8Array, options: CallOptions): OneCall {
    if (this.#closed) throw new UsageError("this client is closed");
    if (options.requestId !== undefined && !REQUEST_ID.test(options.requestId)) {
      throw invalidArgument("request_id", "give 1 to 64 letters, digits, '.', '_', ':' or '-'");
    }
    const metadata = new Metadata();
    if (this.#authorization !== undefined) metadata.set("authorization", this.#authorization);
    if (options.requestId !== undefined) metadata.set("x-request-id", options.requestId);
    const endsAt = performance.now() + callTimeoutMs(options.timeoutMs, this.timeoutMs);
    const attempts = new Attempts(this.#retries, endsAt);
    const path = `/${method.parent.typeName}/${method.name}`;
    const bytes = Buffer.from(request.buffer, request.byteOffset, request.byteLength);
    return new OneCall(this.#client, this.target, path, bytes, metadata, attempts, options.signal, this.#open);
  }
}

function channelTo(target: string, options: ClientOptions): Client {
  try {
    return new Client(target, channelCredentials(options.tls), channelOptions(target, options));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${JSON.stringify(target)} cannot be connected to: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** With one signal before Node warns of a leak; its own 10 are few for calls that a page or a batch shares one for. */
const MOST_CALLS = 1500;

const asIs = (bytes: Buffer): Buffer => bytes;

/** One call with all its attempts. */
class OneCall {
  constructor(
    private readonly client: Client,
    private readonly target: string,
    private readonly path: string,
    private readonly request: Buffer,
    private readonly metadata: Metadata,
    readonly attempts: Attempts,
    private readonly signal: AbortSignal | undefined,
    private readonly open: Set<Cancellable>,
  ) {}

  /** One attempt. */
  async unary(): Promise<Buffer> {
    this.#throwIfCancelled();
    let stop = (): void => {};
    try {
      return await new Promise<Buffer>((resolve, reject) => {
        const done = (error: ServiceError | null, answer?: Buffer): void =>
          answer === undefined ? reject(error) : resolve(answer);
        stop = this.#watched(
          this.client.makeUnaryRequest(this.path, asIs, asIs, this.request, this.metadata, this.#options, done),
        );
      });
    } finally {
      stop();
    }
  }

  /** One attempt. */
  async *answers(): AsyncGenerator<Buffer, void, undefined> {
    this.#throwIfCancelled();
    const { path, request, metadata } = this;
    const stream: ClientReadableStream<Buffer> = this.client.makeServerStreamRequest(
      path,
      asIs,
      asIs,
      request,
      metadata,
      this.#options,
    );
    stream.on("error", () => {}); // what comes after the loop was left would end the process
    const stop = this.#watched(stream);
    try {
      for await (const answer of stream) yield answer as Buffer;
    } finally {
      stop();
      stream.cancel(); // does nothing to a call that has ended
    }
  }

  /** Wait until the call may be asked again; throws `error` in its typed form where it may not. */
  async pauseOrThrow(error: unknown): Promise<void> {
    const failure = this.typed(error);
    const pauseMs = failure instanceof ServerError ? this.attempts.pauseMs(failure) : undefined;
    if (pauseMs === undefined || this.signal?.aborted) throw failure;
    await sleep(pauseMs, undefined, this.signal ? { signal: this.signal } : {}).catch(() => {
      throw cancelled(this.signal?.reason, this.target);
    });
  }

  typed(error: unknown): unknown {
    if (!isServiceError(error)) return error;
    if (this.signal?.aborted) return cancelled(this.signal.reason, this.target);
    return fromServiceError(error, this.target);
  }

  get #options(): GrpcCallOptions {
    const leftMs = this.attempts.leftMs;
    return leftMs === Infinity ? {} : { deadline: Date.now() + leftMs };
  }

  #throwIfCancelled(): void {
    if (this.signal?.aborted) throw cancelled(this.signal.reason, this.target);
  }

  /** Lets the signal and `close` cancel an attempt until the function that it returns is called. */
  #watched(attempt: Cancellable): () => void {
    const cancel = (): void => attempt.cancel();
    this.open.add(attempt);
    if (this.signal && getMaxListeners(this.signal) === defaultMaxListeners) setMaxListeners(MOST_CALLS, this.signal);
    this.signal?.addEventListener("abort", cancel, { once: true });
    return () => {
      this.open.delete(attempt);
      this.signal?.removeEventListener("abort", cancel);
    };
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "metadata" in error;
}
