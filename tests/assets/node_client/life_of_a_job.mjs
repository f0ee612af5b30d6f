// A whole life of a job by the official client, against the address and key of OPENAI_BASE_URL and OPENAI_API_KEY.
// Prints one JSON object of what it saw; the test that starts it says what that must be.
import { createHmac, randomBytes } from "node:crypto";

import OpenAI, { toFile } from "openai";

const BASE_MODEL = "smollm2-135m-instruct";
const ENDED = ["succeeded", "failed", "cancelled"];
const client = new OpenAI();

function rows() {
  const moods = [["wonderful", "good"], ["awful", "bad"], ["lovely", "good"], ["terrible", "bad"]];
  return Array.from({ length: 20 }, (_, number) => {
    const [word, mood] = moods[number % moods.length];
    const messages = [
      { role: "user", content: `Review ${number}: the room was ${word}. Is that good or bad?` },
      { role: "assistant", content: mood },
    ];
    return JSON.stringify({ messages });
  }).join("\n");
}

async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    const { status, code, param, type } = error;
    return { name: error.constructor.name, status, code, param, type, hasRequestId: Boolean(error.requestID) };
  }
  return null;
}

async function collect(pages) {
  const found = [];
  for await (const item of pages) found.push(item);
  return found;
}

async function train() {
  const file = await client.files.create({ file: await toFile(Buffer.from(rows()), "rooms.jsonl"), purpose: "fine-tune" });
  const processed = await client.files.waitForProcessing(file.id);
  const method = { type: "supervised", supervised: { hyperparameters: { n_epochs: 1 } } };
  const created = await client.fineTuning.jobs.create({
    model: BASE_MODEL, training_file: file.id, suffix: "node", seed: 11, metadata: { from: "node" }, method,
  });
  let job = created;
  while (!ENDED.includes(job.status)) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    job = await client.fineTuning.jobs.retrieve(job.id);
  }
  return { file, processed, created, job };
}

async function look(job) {
  const filtered = await client.fineTuning.jobs.list({ metadata: { from: "node" } });
  const events = await collect(client.fineTuning.jobs.listEvents(job.id, { limit: 2 }));
  const allAtOnce = await client.fineTuning.jobs.listEvents(job.id, { limit: 100 });
  const checkpoints = await collect(client.fineTuning.jobs.checkpoints.list(job.id));
  return {
    listed: filtered.data.map(({ id }) => id),
    events: events.map(({ message }) => message).reverse(),
    pagedAsWhole: JSON.stringify(events) === JSON.stringify(allAtOnce.data),
    checkpoints,
  };
}

async function talk(model) {
  const request = { model, messages: [{ role: "user", content: "The room was lovely. Is that good or bad?" }], max_tokens: 8, temperature: 0 };
  const whole = await client.chat.completions.create(request);
  const stream = await client.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } });
  const chunks = await collect(stream);
  const gathered = await client.chat.completions.stream(request).finalChatCompletion();
  return {
    whole: whole.choices[0].message.content,
    finish: whole.choices[0].finish_reason,
    streamed: chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""),
    gathered: gathered.choices[0].message.content,
    usage: [whole.usage.total_tokens, chunks.at(-1).usage.total_tokens],
  };
}

async function refusals(fileId) {
  const wrong = new OpenAI({ apiKey: "tb_live_wrong" });
  return {
    key: await refusal(wrong.models.list()),
    model: await refusal(client.models.retrieve("gpt-4o-mini-2024-07-18")),
    method: await refusal(
      client.fineTuning.jobs.create({ model: BASE_MODEL, training_file: fileId, method: { type: "reinforcement" } }),
    ),
    suffix: await refusal(
      client.fineTuning.jobs.create({ model: BASE_MODEL, training_file: fileId, suffix: "x".repeat(65) }),
    ),
  };
}

/** The client's own check, of a body that is signed as https://www.standardwebhooks.com has it. */
async function unwrap(jobId) {
  const key = randomBytes(32);
  const secret = `whsec_${key.toString("base64")}`;
  const body = JSON.stringify({ id: "evt_1", object: "event", type: "fine_tuning.job.succeeded", created_at: 1, data: { id: jobId } });
  const timestamp = String(Math.floor(Date.now() / 1000));
  const signature = createHmac("sha256", key).update(`wh_1.${timestamp}.${body}`).digest("base64");
  const headers = { "webhook-id": "wh_1", "webhook-timestamp": timestamp, "webhook-signature": `v1,${signature}` };
  const event = await client.webhooks.unwrap(body, headers, secret);
  const forged = await refusal(client.webhooks.unwrap(body.replace("succeeded", "failed"), headers, secret));
  return { type: event.type, jobId: event.data.id, forged: forged?.name };
}

const { file, processed, created, job } = await train();
const model = await client.models.retrieve(job.fine_tuned_model);
const seen = {
  file: { id: file.id, status: processed.status, bytes: file.bytes },
  created: { id: created.id, status: created.status, seed: created.seed },
  job,
  ...(await look(job)),
  model,
  chat: { base: await talk(BASE_MODEL), tuned: await talk(job.fine_tuned_model) },
  refusals: await refusals(file.id),
  webhook: await unwrap(job.id),
};
seen.deleted = await client.models.delete(job.fine_tuned_model);
seen.gone = await refusal(client.models.retrieve(job.fine_tuned_model));
console.log(JSON.stringify(seen));
