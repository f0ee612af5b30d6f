/** What an engineer starts from: a small server that checks where a call is from. */
export function receiverSnippet(secret = "YOUR_SECRET"): string {
  return `from fastapi import FastAPI, Request
from openai import OpenAI

app = FastAPI()
client = OpenAI(api_key="unused", webhook_secret="${secret}")

@app.post("/hooks")
async def hooks(request: Request):
    # raises InvalidWebhookSignatureError if it is not from here
    event = client.webhooks.unwrap(await request.body(), request.headers)
    print(event.type, event.data.id)`;
}
