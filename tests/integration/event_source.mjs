// What a browser gives a page and Node 18 does not: as much of EventSource as the README's snippet uses.
globalThis.EventSource ??= class {
  constructor(url) {
    this.#read(url);
  }

  async #read(url) {
    const response = await fetch(url, { headers: { Accept: "text/event-stream" } });
    let text = "";
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      const events = (text + chunk).split("\n\n");
      text = events.pop();
      for (const event of events) {
        const lines = event.split("\n").filter((line) => line.startsWith("data: "));
        const data = lines.map((line) => line.slice("data: ".length)).join("\n");
        if (lines.length > 0) this.onmessage?.({ data });
      }
    }
  }
};
