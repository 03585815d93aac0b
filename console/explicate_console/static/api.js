// Calls to the server through the gateway, in the Connect protocol with JSON: https://connectrpc.com/docs/protocol
import { ask, CallError, pieces } from "/static/http.js";
import { token } from "/static/token.js";

const PACKAGE = "explicate.v1";
const END_STREAM = 2;

function headers(media, timeoutMs) {
  const given = { "content-type": media, "connect-protocol-version": "1" };
  if (timeoutMs) given["connect-timeout-ms"] = String(Math.round(timeoutMs));
  if (token()) given.authorization = `Bearer ${token()}`;
  return given;
}

const addressOf = (method) => `/${PACKAGE}.${method}`;

/** One call, such as call("ModelService/GetModel", {model: "reviews"}); the answer as protojson. */
export async function call(method, request, { signal, timeoutMs = 30000 } = {}) {
  const init = { method: "POST", body: JSON.stringify(request), headers: headers("application/json", timeoutMs), signal };
  const { response, document } = await ask(addressOf(method), init);
  if (!response.ok) throw new CallError(document, response.status);
  return document;
}

/** A stream of answers, as an async iterator: for await (const answer of stream("InferenceService/StreamExplain", ...)). */
export async function* stream(method, request, { signal, timeoutMs = 60000 } = {}) {
  const message = new TextEncoder().encode(JSON.stringify(request));
  const body = new Uint8Array(5 + message.length);
  new DataView(body.buffer).setUint32(1, message.length);
  body.set(message, 5);
  const init = { method: "POST", body, headers: headers("application/connect+json", timeoutMs), signal };
  for await (const { flags, text } of envelopes(pieces(addressOf(method), init))) {
    const answer = JSON.parse(text);
    if (!(flags & END_STREAM)) yield answer;
    else if (answer.error) throw new CallError(answer.error, 200);
    else return;
  }
  throw new CallError({ code: "unavailable", message: "the stream ended before its last answer" }, 200);
}

async function* envelopes(bytes) {
  let held = new Uint8Array(0);
  for await (const value of bytes) {
    const joined = new Uint8Array(held.length + value.length);
    joined.set(held);
    joined.set(value, held.length);
    held = joined;
    while (held.length >= 5) {
      const length = new DataView(held.buffer, held.byteOffset).getUint32(1);
      if (held.length < 5 + length) break;
      yield { flags: held[0], text: new TextDecoder().decode(held.subarray(5, 5 + length)) };
      held = held.slice(5 + length);
    }
  }
}
