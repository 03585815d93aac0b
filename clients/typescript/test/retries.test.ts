/** Which calls are asked again: a server that answers as it is told, with real gRPC in between. */

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { create, toBinary } from "@bufbuild/protobuf";
import { Metadata, Server, ServerCredentials, status } from "@grpc/grpc-js";
import type { sendUnaryData, ServerUnaryCall, ServerWritableStream, ServiceError } from "@grpc/grpc-js";
import { Explicate, InternalError, Overloaded, ServerError, Unavailable } from "explicate";
import { ListModelsResponseSchema } from "explicate/v1";

type Outcome = "answer" | "nonsense" | { readonly code: status; readonly pushback?: string; readonly details?: Buffer };

let outcomes: Outcome[] = [];
let asked = 0;
let address = "";
let client: Explicate;
const server = new Server();
const ANSWER = Buffer.from(toBinary(ListModelsResponseSchema, create(ListModelsResponseSchema)));
const asIs = (bytes: Buffer) => bytes;

function failureOf(outcome: Exclude<Outcome, string>): Partial<ServiceError> {
  const metadata = new Metadata();
  if (outcome.pushback !== undefined) metadata.set("grpc-retry-pushback-ms", outcome.pushback);
  if (outcome.details) metadata.set("grpc-status-details-bin", outcome.details);
  return { code: outcome.code, details: "as told", metadata };
}

before(async () => {
  const path = (name: string) => ({
    path: name,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  });
  server.addService(
    {
      listModels: { ...path("/explicate.v1.ModelService/ListModels"), requestStream: false, responseStream: false },
      streamExplain: {
        ...path("/explicate.v1.InferenceService/StreamExplain"),
        requestStream: false,
        responseStream: true,
      },
    },
    {
      listModels(_: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) {
        const outcome = outcomes[asked++] ?? "answer";
        if (outcome === "answer") answer(null, ANSWER);
        else if (outcome === "nonsense") answer(null, Buffer.from([0x0a, 0xff, 0xff]));
        else answer(failureOf(outcome));
      },
      streamExplain(call: ServerWritableStream<Buffer, Buffer>) {
        const outcome = outcomes[asked++] as Exclude<Outcome, "nonsense">;
        if (outcome !== "answer") return void call.emit("error", failureOf(outcome));
        call.write(ANSWER); // without a result
        call.end();
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  address = `127.0.0.1:${port}`;
});
after(() => server.forceShutdown());
beforeEach(() => {
  [asked, client] = [0, new Explicate(address)];
});

const caught = (promise: Promise<unknown>) =>
  promise.then(
    () => assert.fail("it was answered"),
    (error: unknown) => error,
  );

test("a server that is away for a moment is asked again", async () => {
  outcomes = [{ code: status.UNAVAILABLE }, { code: status.UNAVAILABLE }, "answer"];
  assert.deepEqual(await client.listModels(), []);
  assert.equal(asked, 3);
});

test("the server's word about when to ask again is kept", async () => {
  outcomes = ["answer", { code: status.UNAVAILABLE, pushback: "60000" }, "answer"];
  await client.listModels();
  const error = await caught(client.listModels({ timeoutMs: 5000 })); // it would take longer than the call has
  assert.ok(error instanceof Unavailable);
  assert.equal(error.retryAfterSeconds, 60);
  assert.equal(asked, 2);
});

test("never means never, and so does what is no number", async () => {
  for (const pushback of ["-1", "soon"]) {
    [asked, outcomes] = [0, [{ code: status.UNAVAILABLE, pushback }]];
    const error = await caught(client.listModels());
    assert.ok(error instanceof Unavailable && error.retryAfterSeconds === Infinity);
    assert.equal(asked, 1);
  }
});

test("a single full server is not asked again", async () => {
  outcomes = [{ code: status.RESOURCE_EXHAUSTED, pushback: "1" }];
  assert.ok((await caught(client.listModels())) instanceof Overloaded);
  assert.equal(asked, 1);
});

test("of several addresses another one may have room", async () => {
  const several = new Explicate(`ipv4:${address},${address}`);
  outcomes = [
    { code: status.RESOURCE_EXHAUSTED, pushback: "1" },
    { code: status.RESOURCE_EXHAUSTED, pushback: "1" },
    "answer",
  ];
  assert.deepEqual(await several.listModels(), []);
  assert.equal(asked, 3);
  outcomes = Array.from({ length: 500 }, () => ({ code: status.RESOURCE_EXHAUSTED, pushback: "0" }) as const);
  asked = 0;
  const refusals = await Promise.all(Array.from({ length: 60 }, () => caught(several.listModels({ timeoutMs: 2000 }))));
  assert.ok(refusals.every((error) => error instanceof Overloaded));
  assert.ok(asked < 60 + 50 + 1, `${asked} calls to servers that are full`); // half of the budget, and each call once
  several.close();
});

test("other failures are answers", async () => {
  for (const code of [status.INTERNAL, status.ABORTED, status.INVALID_ARGUMENT, status.UNKNOWN, status.UNIMPLEMENTED]) {
    [asked, outcomes] = [0, [{ code }]];
    const error = await caught(client.listModels());
    assert.ok(error instanceof ServerError && error.code === status[code]);
    assert.equal(asked, 1);
  }
});

test("details that are no google.rpc.Status do not hide the failure", async () => {
  outcomes = [{ code: status.ABORTED, details: Buffer.from([0xff, 0xff, 0xff]) }];
  const error = await caught(client.listModels());
  assert.ok(
    error instanceof ServerError && error.code === "ABORTED" && error.message.includes("as told"),
    String(error),
  );
});

test("a stream that has not begun is asked again", async () => {
  outcomes = [{ code: status.UNAVAILABLE }, { code: status.NOT_FOUND }];
  const error = await caught(client.streamExplain("tiny", "tea").next());
  assert.ok(error instanceof ServerError && error.code === "NOT_FOUND");
  assert.equal(asked, 2);
});

test("answers that are none of this contract are faults of the server, and not asked for again", async () => {
  outcomes = ["nonsense"];
  const error = await caught(client.listModels());
  assert.ok(error instanceof InternalError && error.message.includes(address), String(error));
  assert.equal(asked, 1);
  [asked, outcomes] = [0, ["answer"]];
  const empty = await caught(client.streamExplain("tiny", "tea").next());
  assert.ok(empty instanceof InternalError, String(empty));
});
