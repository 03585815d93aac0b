// asks.mjs URL DESCRIPTORS: calls the console by connect-web and connect-node, as JSON and as protobuf, and prints a
// line of JSON for each. Services are read from descriptors, so nothing is generated.
import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import * as node from "@connectrpc/connect-node";
import * as web from "@connectrpc/connect-web";

const [url, descriptors] = process.argv.slice(2);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));
const inference = registry.getService("explicate.v1.InferenceService");
const models = registry.getService("explicate.v1.ModelService");
const badRequest = registry.getMessage("google.rpc.BadRequest");
const TEXT = "this tea is great but the box was not good";
const spec = { model: { model: "tiny" }, input: { kind: { case: "text", value: { text: TEXT } } } };

async function failure(asked) {
  try {
    await asked;
    return "no error";
  } catch (error) {
    const found = ConnectError.from(error);
    const [details] = found.findDetails(badRequest);
    return { code: Code[found.code], message: found.rawMessage, fields: details?.fieldViolations.map(({ field }) => field) };
  }
}

async function all(stream) {
  const answers = [];
  for await (const answer of stream) answers.push(answer);
  return answers;
}

async function abortedStream(client) {
  const ending = new AbortController();
  for await (const _ of client.watchModels({}, { signal: ending.signal })) ending.abort();
}

async function asks(transport) {
  const client = createClient(inference, transport);
  const told = {};
  const onHeader = (headers) => (told.requestId = headers.get("x-request-id"));
  const onTrailer = (trailers) => (told.streamRequestId = trailers.get("x-request-id"));
  const inputs = [spec.input];
  const headers = { "x-request-id": "from-node" };
  const { predictions } = await client.predict({ model: spec.model, inputs }, { headers, onHeader });
  told.label = predictions[0].outcome.value.predictedLabel;
  const estimates = await all(client.streamExplain({ spec }, { headers, onTrailer }));
  const { result } = await client.explain({ spec });
  told.finals = estimates.filter((each) => each.final).length;
  told.features = result.explanation.features.length;
  told.refused = await failure(client.explain({ spec: { ...spec, options: { confidence: 7 } } }));
  told.refusedStream = await failure(all(client.streamExplain({ spec: { ...spec, options: { confidence: 7 } } })));
  told.late = (await failure(all(createClient(models, transport).watchModels({}, { timeoutMs: 500 })))).code;
  told.aborted = (await failure(abortedStream(createClient(models, transport)))).code;
  return told;
}

const base = { baseUrl: url, httpVersion: "1.1" };
for (const [name, { createConnectTransport }] of Object.entries({ web, node })) {
  for (const useBinaryFormat of [false, true]) {
    const told = await asks(createConnectTransport({ ...base, useBinaryFormat }));
    console.log(JSON.stringify({ by: `connect-${name} ${useBinaryFormat ? "protobuf" : "JSON"}`, ...told }));
  }
}
