// Requests of this page to the console that it came from.

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

/** What `wait` comes to. A request that was given up here throws the signal's error, a console that went away a CallError. */
async function reached(wait, signal) {
  try {
    return await wait;
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new CallError({ code: "unavailable", message: "the console cannot be reached; is it still running?" }, 0);
  }
}

/** {response, document}: a whole answer in JSON. The document of a failure that is no JSON is {}. */
export async function ask(address, init = {}) {
  const response = await reached(fetch(address, init), init.signal);
  const text = await reached(response.text(), init.signal);
  return { response, document: read(text, response) };
}

function read(text, { ok, status }) {
  try {
    return JSON.parse(text);
  } catch {
    if (!ok) return {};
    throw new CallError({ code: "internal", message: "the answer is not one of this console: something between it and this page wrote another" }, status);
  }
}

/** The bytes of an answer as they come; a refusal, which comes whole and in JSON, is thrown as a CallError. */
export async function* pieces(address, init = {}) {
  const response = await reached(fetch(address, init), init.signal);
  if (!response.ok || !response.body) throw new CallError(read(await reached(response.text(), init.signal), response), response.status);
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reached(reader.read(), init.signal);
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {}); // of an answer that nobody reads to its end
  }
}
