/** Calls that end otherwise: no token, no time, no server, cancelled, refused, and a server that dies. */

import assert from "node:assert/strict";
import { after, test } from "node:test";

import {
  Cancelled,
  DeadlineExceeded,
  Explicate,
  Overloaded,
  PermissionDenied,
  ServerError,
  Unauthenticated,
  Unavailable,
  UsageError,
} from "explicate";
import type { ExplainResult } from "explicate";

import { guardedClient, LONG, LONG_TEXT, servers } from "./servers.js";

const client = new Explicate(servers.open);
const doomed = new Explicate(servers.doomed.address);
after(() => [client, doomed].forEach((each) => each.close()));

const caught = (promise: Promise<unknown>) =>
  promise.then(
    () => assert.fail("it was answered"),
    (error: unknown) => error,
  );

/** Until nothing works on a call any more. */
async function idle(asked: Explicate): Promise<void> {
  while ((await asked.listModels()).some(({ leases }) => leases > 0));
}

test("no token, a wrong one, and one without the right are told apart", async () => {
  const [none, wrong, blind] = [
    guardedClient({ token: undefined }),
    guardedClient({ token: "wrong" }),
    guardedClient({ token: servers.guarded.blindToken }),
  ];
  const missing = await caught(none.listModels());
  assert.ok(missing instanceof Unauthenticated && missing.reason === "TOKEN_MISSING", String(missing));
  const unknown = await caught(wrong.predict("entails", [["a", "b"]]));
  assert.ok(unknown instanceof Unauthenticated && unknown.reason === "TOKEN_INVALID", String(unknown));
  const denied = await caught(blind.explain("entails", ["a", "b"]));
  assert.ok(denied instanceof PermissionDenied && denied.reason === "RIGHT_MISSING", String(denied));
  assert.equal((await blind.predict("entails", [["a", "b"]])).predictions.length, 1);
  for (const each of [none, wrong, blind]) each.close();
});

test("a server that another authority vouches for is not trusted, nor one of another name, nor one without TLS", async () => {
  for (const tls of [true, { ca: undefined, serverName: "models.internal" }]) {
    const stranger = guardedClient({ tls });
    assert.ok((await caught(stranger.health())) instanceof Unavailable);
    stranger.close();
  }
  const { ca } = await import("node:fs").then(({ readFileSync }) => ({ ca: readFileSync(servers.guarded.ca) }));
  const misnamed = guardedClient({ tls: { ca, serverName: "other.internal" } });
  assert.ok((await caught(misnamed.health())) instanceof Unavailable);
  misnamed.close();
  const plain = new Explicate(servers.guarded.address, { timeoutMs: 3000 });
  assert.ok((await caught(plain.health())) instanceof ServerError);
  plain.close();
});

/** An answer after so many seconds, or twice as many where the machine is so busy that they are too few for any. */
async function withTime(timeLimitSeconds: number): Promise<ExplainResult> {
  try {
    return await client.explain("tiny", LONG_TEXT, { ...LONG, timeLimitSeconds });
  } catch (error) {
    assert.ok(error instanceof DeadlineExceeded && error.reason === "NO_TIME_TO_EXPLAIN", String(error));
    return withTime(2 * timeLimitSeconds);
  }
}

test("a call without time ends as one, and with little time there is the best answer so far", async () => {
  assert.ok((await caught(client.explain("tiny", LONG_TEXT, { timeoutMs: 0 }))) instanceof DeadlineExceeded);
  assert.ok((await caught(client.explain("tiny", LONG_TEXT, { ...LONG, timeoutMs: 1 }))) instanceof DeadlineExceeded);
  const { explanation } = await withTime(0.05);
  assert.equal(explanation.stopReason, "deadline");
  assert.ok(explanation.evaluations < LONG.maxEvaluations);
  await assert.rejects(client.explain("tiny", "tea", { timeoutMs: -1 }), UsageError);
});

test("a signal cancels a call before it, during it, and as a timeout; the server stops", async () => {
  const reason = new Error("the page was left");
  const before = await caught(client.explain("tiny", "tea", { signal: AbortSignal.abort(reason) }));
  assert.ok(before instanceof Cancelled && before.cause === reason);
  const controller = new AbortController();
  const during = caught(client.explain("tiny", LONG_TEXT, { ...LONG, signal: controller.signal }));
  while (!(await client.listModels()).some(({ leases }) => leases > 0));
  controller.abort(reason);
  const error = await during;
  assert.ok(error instanceof Cancelled && error.cause === reason, String(error));
  await idle(client);
  const late = await caught(client.explain("tiny", LONG_TEXT, { ...LONG, signal: AbortSignal.timeout(1) }));
  assert.ok(late instanceof DeadlineExceeded, String(late));
});

test("a stream ends when its loop is left, when its signal says so, and when its client closes", async () => {
  for await (const { final, explanation } of client.streamExplain("tiny", LONG_TEXT, LONG)) {
    assert.equal(final, false);
    assert.ok(["running"].includes(explanation.stopReason));
    break;
  }
  await idle(client);
  const controller = new AbortController();
  const stopped = async () => {
    for await (const _ of client.streamExplain("tiny", LONG_TEXT, { ...LONG, signal: controller.signal }))
      controller.abort();
  };
  assert.ok((await caught(stopped())) instanceof Cancelled);
  await idle(client);
  const brief = new Explicate(servers.open);
  const closed = async () => {
    for await (const _ of brief.streamExplain("tiny", LONG_TEXT, LONG)) brief.close();
  };
  assert.ok((await caught(closed())) instanceof ServerError);
  await assert.rejects(brief.listModels(), UsageError);
  await idle(client);
});

test("a stream that is never read does not ask anything", async () => {
  client.streamExplain("none", "tea");
  const asked = client.streamExplain("none", "tea").next();
  assert.equal(((await caught(asked)) as ServerError).reason, "MODEL_NOT_FOUND");
});

test("nobody at an address is told within a second or so, with the address", async () => {
  const nobody = new Explicate("127.0.0.1:1");
  const error = await caught(nobody.listModels());
  assert.ok(error instanceof Unavailable && error.message.includes("127.0.0.1:1"), String(error));
  assert.ok((await caught(nobody.waitReady({ timeoutMs: 300 }))) instanceof DeadlineExceeded);
  const nameless = new Explicate("no-such-host.invalid:8500");
  assert.ok((await caught(nameless.listModels())) instanceof Unavailable);
  nobody.close();
  nameless.close();
});

test("a full server says when to come back; one that dies in a stream ends it as unavailable", async () => {
  const answers = doomed.streamExplain("tiny", LONG_TEXT, LONG);
  await answers.next();
  const refused = await caught(doomed.explain("tiny", "tea"));
  assert.ok(refused instanceof Overloaded, String(refused));
  assert.match(refused.reason, /CALLER_LIMIT|TOO_MANY_EXPLANATIONS/);
  assert.ok((refused.retryAfterSeconds as number) > 0);
  process.kill(servers.doomed.pid, "SIGKILL");
  const rest = async () => {
    for await (const { final } of answers) assert.equal(final, false);
  };
  const error = await caught(rest());
  assert.ok(error instanceof Unavailable, String(error));
  assert.equal(error.reason, "");
});
