const QUESTION = "What can you do for me?";
/** A small model on a processor says about ten words a second: a first try should not take a minute. */
const MAX_TOKENS = 60;

export function curlSnippet(model: string, origin: string): string {
  return `curl ${origin}/v1/chat/completions \\
  -H "Authorization: Bearer $TAILORBIRD_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '${JSON.stringify({ model, messages: [{ role: "user", content: QUESTION }], max_tokens: MAX_TOKENS })}'`;
}

export function pythonSnippet(model: string, origin: string, key = "YOUR_API_KEY"): string {
  return `from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key="${key}")
answer = client.chat.completions.create(
    model="${model}",
    messages=[{"role": "user", "content": "${QUESTION}"}],
    max_tokens=${MAX_TOKENS},
)
print(answer.choices[0].message.content)`;
}

/** How a program asks for its answer to be kept. */
export function keepSnippet(origin: string): string {
  return `from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key="YOUR_API_KEY")
client.chat.completions.create(
    model="NAME_OF_THE_MODEL",
    messages=[{"role": "user", "content": "${QUESTION}"}],
    store=True,
    metadata={"from": "the booking page"},
)`;
}
