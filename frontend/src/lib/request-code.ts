/** A request as code: the very one, with the key as a placeholder. */
export interface RequestCode {
  curl: string;
  python: string;
  javascript: string;
}

export function requestCode(body: object, origin: string): RequestCode {
  const fields = Object.entries(body).filter(([, value]) => value !== undefined);
  return {
    curl: curl(Object.fromEntries(fields), origin),
    python: python(fields, origin),
    javascript: javascript(Object.fromEntries(fields), origin),
  };
}

function curl(body: object, origin: string): string {
  // an apostrophe ends a quoted word of a shell, wherever it stands
  const quoted = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  return `curl ${origin}/v1/chat/completions \\
  -H "Authorization: Bearer $TAILORBIRD_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '${quoted}'`;
}

function python(fields: [string, unknown][], origin: string): string {
  const given = fields.map(([name, value]) => `    ${name}=${literal(value, 1)},`).join("\n");
  return `from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key="YOUR_API_KEY")
answer = client.chat.completions.create(
${given}
)
print(answer.choices[0].message.content)`;
}

function javascript(body: object, origin: string): string {
  return `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${origin}/v1", apiKey: "YOUR_API_KEY" });
const answer = await client.chat.completions.create(${JSON.stringify(body, null, 2)});
console.log(answer.choices[0].message.content);`;
}

/** JSON's values in Python's words. A text of JSON is one of Python's too. */
function literal(value: unknown, depth: number): string {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  const [inner, outer] = ["    ".repeat(depth + 1), "    ".repeat(depth)];
  if (Array.isArray(value)) {
    const items = value.map((item) => `${inner}${literal(item, depth + 1)},\n`).join("");
    return value.length === 0 ? "[]" : `[\n${items}${outer}]`;
  }
  if (typeof value === "object") {
    const pairs = Object.entries(value).map(
      ([name, one]) => `${JSON.stringify(name)}: ${literal(one, depth)}`,
    );
    return `{${pairs.join(", ")}}`;
  }
  return JSON.stringify(value);
}
