// Follows the stream without any package, and goes on where it was cut: node examples/follow.mjs [URL]
const url = process.argv[2] ?? "http://localhost:6767";
const GIB = 1024 ** 3;
const RETRY_MS = 1000;
let lastId;

async function follow() {
  const headers = lastId === undefined ? {} : { "Last-Event-ID": lastId };
  const response = await fetch(`${url}/vram/stream?blocks=none`, { headers });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  let text = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (text + chunk).split("\n\n");
    text = events.pop();
    events.forEach(show);
  }
}

function show(event) {
  const fields = Object.fromEntries(event.split("\n").map((line) => line.split(/: (.*)/s, 2)));
  if (fields.data === undefined) return;
  lastId = fields.id;
  const vram = JSON.parse(fields.data);
  console.log(`${vram.timestamp}  ${(vram.used_bytes / GIB).toFixed(2)} GiB  ${vram.used_percent} %`);
}

for (;;) {
  await follow().catch((error) => console.error(`${error.message}; trying again`));
  await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
}
