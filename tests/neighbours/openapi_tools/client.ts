// Tunes a provider, sends a message and follows it, by types that were made of the OpenAPI document.
import { argv } from "node:process";
import createClient from "openapi-fetch";
import type { paths } from "./schema";

const [url, key] = argv.slice(2) as [string, string];
const api = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${key}` } });

const provider = { params: { path: { provider: "sms-sandbox" } } };
const body = { concurrency: 7, rate: [{ limit: 100, per: "1m" }] };
const changed = await api.PATCH("/providers/{provider}", { ...provider, body });
const shown = await api.GET("/providers/{provider}", provider);
const listed = await api.GET("/providers");
const removed = await api.DELETE("/providers/{provider}/override", provider);
const sent = await api.POST("/send", {
  body: { channels: ["sms"], recipients: ["nobody"], messageTitle: "T", messageContent: "C" },
});
const id = sent.response.headers.get("Dispatch-Id") ?? "";
const dispatch = await api.GET("/dispatches/{dispatchId}", { params: { path: { dispatchId: id } } });
const audit = await api.GET("/audit");

console.log(
  JSON.stringify({
    concurrency: changed.data?.settings["concurrency"]?.value,
    rate: shown.data?.settings["rate"]?.value,
    providers: listed.data?.providers.map((one) => one.name),
    source: removed.data?.settings["concurrency"]?.source,
    failures: sent.data?.failures.map((one) => one.error),
    state: dispatch.data?.state,
    actions: audit.data?.entries.map((one) => one.action),
  }),
);
