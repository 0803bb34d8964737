// The Node.js service of the fan-out: `POST /send` with fastify, handlebars and axios.
//
// It does the same job as far as a provider sees: it picks the recipients, renders a text for each
// and posts it, so many at once over so many kept connections, then answers with the failures.
// It has no journal, limits, retries or supervision, and its users are in memory, read at start,
// where Carillon looks them up in its store: all of that is in the peer's favour.
//
// node fan_out.mjs NODE_MODULES USERS.jsonl PROVIDER_URL CONCURRENCY
import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import readline from "node:readline";

const [modules, usersFile, providerUrl, concurrencyText] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(modules), "here.js"));
const axios = require("axios");
const fastify = require("fastify");
const Handlebars = require("handlebars");

const SENDER = "Shop";
const BODY_BYTES = 16 * 1024 * 1024; // as Carillon has it
const concurrency = Number(concurrencyText);

const usersById = new Map();
for await (const line of readline.createInterface({ input: fs.createReadStream(usersFile) })) {
  const user = JSON.parse(line);
  usersById.set(user._id, user);
}

const provider = axios.create({
  baseURL: providerUrl,
  timeout: 30_000,
  proxy: false,
  httpAgent: new http.Agent({ keepAlive: true, maxSockets: concurrency }),
});

function* recipients(ids, clusters) {
  const asked = new Set(ids);
  for (const id of asked) yield [id, usersById.get(id)];
  if (!clusters.length) return;
  for (const user of usersById.values()) {
    const isMember = user.clusters.some((cluster) => clusters.includes(cluster));
    if (isMember && !asked.has(user._id)) yield [user._id, user];
  }
}

async function deliver(user, render, data) {
  if (!user) throw new Error("User not found");
  const body = render({ user, data });
  await provider.post("/send", { sender: SENDER, receiver: user.phoneNumber, body });
}

async function sendAll(ids, clusters, render, data) {
  const failures = [];
  const left = recipients(ids, clusters); // shared: each worker takes the next
  async function work() {
    for (const [userId, user] of left) {
      try {
        await deliver(user, render, data);
      } catch (error) {
        failures.push({ userId, channel: "sms", error: error.message });
      }
    }
  }
  await Promise.all(Array.from({ length: concurrency }, work));
  return failures;
}

const strings = { type: "array", items: { type: "string" } };
const schema = {
  body: {
    type: "object",
    required: ["channels", "messageContent"],
    anyOf: [{ required: ["recipients"] }, { required: ["clusters"] }],
    properties: {
      channels: { type: "array", minItems: 1, items: { const: "sms" } },
      recipients: strings,
      clusters: strings,
      messageContent: { type: "string" },
      data: { type: "object" },
    },
  },
};

const app = fastify({ bodyLimit: BODY_BYTES, requestTimeout: 0 });
app.post("/send", { schema }, async (request) => {
  const { recipients: ids = [], clusters = [], messageContent, data = {} } = request.body;
  const render = Handlebars.compile(messageContent, { noEscape: true }); // an SMS is no HTML
  return { failures: await sendAll(ids, clusters, render, data) };
});
process.on("SIGTERM", () => process.exit(0));
console.log(await app.listen({ host: "127.0.0.1", port: 0 }));
