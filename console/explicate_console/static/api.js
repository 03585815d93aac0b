// Calls to the server through the gateway, in the Connect protocol with JSON: https://connectrpc.com/docs/protocol
import { token } from "/static/token.js";

const PACKAGE = "explicate.v1";
const END_STREAM = 2;

/** A failed call: code as Connect has it ("invalid_argument"), reason of ErrorInfo, violations [{field, description}], retryAfterS. */
export class CallError extends Error {
  constructor(document, status) {
    super(document.message || `the gateway answered ${status}`);
    const details = Object.fromEntries((document.details ?? []).map((each) => [each.type, each.debug ?? {}]));
    this.code = document.code ?? "unknown";
    this.reason = details["google.rpc.ErrorInfo"]?.reason ?? "";
    this.violations = details["google.rpc.BadRequest"]?.fieldViolations ?? [];
    this.retryAfterS = parseFloat(details["google.rpc.RetryInfo"]?.retryDelay ?? "NaN");
    this.requestId = details["google.rpc.RequestInfo"]?.requestId ?? "";
  }
}

function headers(media, timeoutMs) {
  const given = { "content-type": media, "connect-protocol-version": "1" };
  if (timeoutMs) given["connect-timeout-ms"] = String(Math.round(timeoutMs));
  if (token()) given.authorization = `Bearer ${token()}`;
  return given;
}

async function post(method, body, media, { signal, timeoutMs }) {
  try {
    return await fetch(`/${PACKAGE}.${method}`, { method: "POST", body, headers: headers(media, timeoutMs), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new CallError({ code: "unavailable", message: "the console cannot be reached; is it still running?" }, 0);
  }
}

/** One call, such as call("ModelService/GetModel", {model: "reviews"}); the answer as protojson. */
export async function call(method, request, { signal, timeoutMs = 30000 } = {}) {
  const response = await post(method, JSON.stringify(request), "application/json", { signal, timeoutMs });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new CallError(answer, response.status);
  return answer;
}

/** A stream of answers, as an async iterator: for await (const answer of stream("InferenceService/StreamExplain", ...)). */
export async function* stream(method, request, { signal, timeoutMs = 60000 } = {}) {
  const message = new TextEncoder().encode(JSON.stringify(request));
  const body = new Uint8Array(5 + message.length);
  new DataView(body.buffer).setUint32(1, message.length);
  body.set(message, 5);
  const response = await post(method, body, "application/connect+json", { signal, timeoutMs });
  if (!response.ok || !response.body) throw new CallError(await response.json().catch(() => ({})), response.status);
  for await (const { flags, text } of envelopes(response.body.getReader())) {
    const answer = JSON.parse(text);
    if (!(flags & END_STREAM)) yield answer;
    else if (answer.error) throw new CallError(answer.error, 200);
    else return;
  }
  throw new CallError({ code: "unavailable", message: "the stream ended before its last answer" }, 200);
}

async function* envelopes(reader) {
  let held = new Uint8Array(0);
  for (;;) {
    while (held.length >= 5) {
      const length = new DataView(held.buffer, held.byteOffset).getUint32(1);
      if (held.length < 5 + length) break;
      yield { flags: held[0], text: new TextDecoder().decode(held.subarray(5, 5 + length)) };
      held = held.slice(5 + length);
    }
    const { done, value } = await reader.read();
    if (done) return;
    const joined = new Uint8Array(held.length + value.length);
    joined.set(held);
    joined.set(value, held.length);
    held = joined;
  }
}
