// The blocks of each process, out of the packed columns, without any package: node examples/columns.mjs [URL]
const url = process.argv[2] ?? "http://localhost:6767";
const GIB = 1024 ** 3;
const ARRAYS = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, u64: Float64Array };

/** Head and columns of an answer. Numbers above 2^53, which only the ids of streams may reach, are rounded. */
export function decode(buffer) {
  const bytes = new Uint8Array(buffer);
  if (new TextDecoder().decode(bytes.subarray(0, 4)) !== "BBC2") throw new Error("another version");
  let at = 8 + new DataView(buffer).getUint32(4, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(8, at)));
  const columns = {};
  for (const { name, type, bytes: planes } of head.columns) {
    const numbers = new ARRAYS[type](head.rows);
    for (let plane = 0, scale = 1; plane < planes; plane += 1, scale *= 256, at += head.rows)
      for (let row = 0; row < head.rows; row += 1) numbers[row] += bytes[at + row] * scale;
    columns[name] = numbers;
  }
  let row = 0;
  for (const part of head.parts) {
    part.first = row;
    row += part.rows;
    if (part.first_address === null) continue;
    for (let end = part.first_address, i = part.first; i < row; end = columns.address[i] + columns.size[i], i += 1)
      columns.address[i] += end;
  }
  return { head, columns };
}

const response = await fetch(`${url}/vram/columns`);
if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
const { head, columns } = decode(await response.arrayBuffer());
for (const part of head.parts) {
  let live = 0;
  for (let row = part.first; row < part.first + part.rows; row += 1)
    if (part.kinds[columns.kind[row]].utilized) live += columns.size[row];
  console.log(`${part.pid} ${part.name}  ${part.rows} blocks  ${(live / GIB).toFixed(2)} GiB live`);
}
