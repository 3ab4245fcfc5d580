/**
 * Ask PMLM's endpoint: an answer as it comes, then the same question with its reasons.
 *
 *     node examples/ask.ts http://127.0.0.1:3000 TOKEN PATIENT "Is it normal to feel this tired?"
 *
 * Node 22.18 and newer run it as it stands. It needs `fetch` alone, and `process` for its arguments.
 */

interface Segment { key: string; kind: string; text: string; kept: boolean; sources: string[] }
interface Answer { id: string; answer: string; disclaimer: string; escalation: string | null; segments: Segment[] }
interface Chunk {
  choices?: { delta: { content?: string }; finish_reason: string | null }[];
  pmlm?: { answer_id: string; disclaimer: string; escalated: boolean };
  error?: { message: string };
}

const [url, token, patient, question = "Is it normal to feel this tired?"] = process.argv.slice(2);
if (!url || !token || !patient) throw new Error("usage: node ask.ts URL TOKEN PATIENT [QUESTION]");

async function post(path: string, body: object): Promise<Response> {
  const response = await fetch(new URL(path, url), {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  });
  if (response.ok) return response;
  const problem = await response.json(); // RFC 9457, or OpenAI's shape below /v1
  throw new Error(`${response.status}: ${problem.detail ?? problem.error?.message}`);
}

/** The chunks of a chat; an answer is whole only where the stream says so itself. */
async function* chat(asked: string): AsyncGenerator<Chunk> {
  const messages = [{ role: "user", content: asked }];
  const response = await post("/v1/chat/completions", { model: "any", stream: true, metadata: { patient }, messages });
  let pending = "";
  for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
    const events = (pending + text).split("\n\n");
    pending = events.pop()!;
    for (const event of events) {
      const data = event.replace(/^data: /, "");
      if (data === "[DONE]") return;
      const chunk: Chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      yield chunk;
    }
  }
  throw new Error("the answer broke off: show no part of it as the whole");
}

try {
  for await (const { choices, pmlm } of chat(question)) {
    if (pmlm) console.log(`answer ${pmlm.answer_id}; show with it: ${pmlm.disclaimer}`);
    process.stdout.write(choices?.[0]?.delta.content ?? "");
  }

  const answer: Answer = await (await post("/answer", { patient, question })).json();
  console.log(`\n\n${answer.escalation ?? "no red flag"}\n${answer.answer}\n`);
  for (const { kept, text, sources } of answer.segments) {
    if (kept) console.log(`because: ${text} (${sources.length} sources)`);
  }
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
