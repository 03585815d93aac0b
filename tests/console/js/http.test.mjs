// Requests of the page: what is thrown where no whole answer comes, by a server that holds, cuts or misstates it.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { ask, CallError, pieces } from "../../../console/explicate_console/static/http.js";

const ANSWERS = {
  "/whole": (response) => response.end('{"rows": [1, 2]}'),
  "/held": (response) => response.write('{"rows": ['),
  "/cut": (response) => response.write('{"rows": [', () => response.destroy()),
  "/page": (response) => response.end("<html>Sign in</html>"),
  "/refused": (response) => { response.statusCode = 429; response.end('{"code": "resource_exhausted", "message": "wait"}'); },
  "/bad-gateway": (response) => { response.statusCode = 502; response.end("<html>502</html>"); },
};
let server;
const at = (path) => `http://127.0.0.1:${server.address().port}${path}`;
before(() => new Promise((resolve) => {
  server = createServer((request, response) => { ANSWERS[request.url](response); }).listen(0, "127.0.0.1", resolve);
}));
after(() => { server.closeAllConnections(); server.close(); });

const away = (error) => error instanceof CallError && error.code === "unavailable" && /cannot be reached/.test(error.message);

test("a whole answer is read, a refusal too", async () => {
  assert.deepEqual((await ask(at("/whole"))).document, { rows: [1, 2] });
  const { response, document } = await ask(at("/refused"));
  assert.equal(response.status, 429);
  assert.equal(document.message, "wait");
});

test("an answer that is given up while its body comes is thrown, and is never an empty answer", async () => {
  const ending = new AbortController();
  const asked = ask(at("/held"), { signal: ending.signal });
  setTimeout(() => ending.abort(), 50);
  await assert.rejects(asked, { name: "AbortError" });
});

test("an answer that is cut off in its body is told as a console that is away", async () => {
  await assert.rejects(ask(at("/cut")), away);
  await assert.rejects(async () => { for await (const _ of pieces(at("/cut"))); }, away);
});

test("a console that is not there is told as away", async () => {
  const gone = await new Promise((resolve) => { const other = createServer().listen(0, "127.0.0.1", () => { const { port } = other.address(); other.close(() => resolve(port)); }); });
  await assert.rejects(ask(`http://127.0.0.1:${gone}/whole`), away);
});

test("a page of something in between is no answer, and as a refusal keeps its status", async () => {
  await assert.rejects(ask(at("/page")), /not one of this console/);
  const { response, document } = await ask(at("/bad-gateway"));
  assert.equal(response.status, 502);
  assert.deepEqual(document, {});
});

test("the pieces of an answer come as they are, and a refusal is thrown with its code", async () => {
  let text = "";
  for await (const piece of pieces(at("/whole"))) text += new TextDecoder().decode(piece);
  assert.equal(text, '{"rows": [1, 2]}');
  await assert.rejects(async () => { for await (const _ of pieces(at("/refused"))); }, { code: "resource_exhausted" });
});
