// Reads the sealed segments of a folder with readers that know nothing of hindcast and
// prints what sums/main.go prints. Usage: node read.mjs polars|arrow-js DIR
import fs from "node:fs";
import path from "node:path";
import * as arrow from "apache-arrow";
import { decompress } from "fzstd";
import pl from "nodejs-polars";

const [reader, dir] = process.argv.slice(2);

function segments(dir) {
  const out = [];
  for (const e of fs.readdirSync(dir, { withFileTypes: true })) {
    const p = path.join(dir, e.name);
    if (e.isDirectory() && e.name.startsWith("dt=")) out.push(...segments(p));
    else if (e.isFile() && e.name.endsWith(".arrows")) out.push(p);
  }
  return out.sort((a, b) => (path.basename(a) < path.basename(b) ? -1 : 1));
}

// polars works on whole columns in Rust. It has no binary type on the JavaScript side, so
// what is inside the names is left to arrow-js.
function polars(bytes) {
  const df = pl.readIPCStream(bytes);
  const [s] = df
    .select(
      pl.col("ret").sum().cast(pl.Utf8).alias("ret"),
      pl.col("bytes_in").sum().cast(pl.Utf8).alias("bytes_in"),
      pl.col("ts").cast(pl.Int64).sum().cast(pl.Utf8).alias("ts"),
      pl.col("path").isNotNull().sum().cast(pl.Utf8).alias("paths"),
    )
    .toRecords();
  const types = {};
  for (const r of df.groupBy("type").agg(pl.count("ts").alias("n")).toRecords()) types[r.type] = Number(r.n);
  return { rows: df.height, ret: s.ret, bytes_in: s.bytes_in, ts: s.ts, paths: Number(s.paths), types };
}

// arrow-js hands out every value one by one.
function arrowJS(bytes) {
  arrow.compressionRegistry.set(arrow.CompressionType.ZSTD, {
    decode(b) {
      const raw = decompress(b);
      const out = new Uint8Array((raw.length + 7) & ~7); // it wants whole multiples of 8
      out.set(raw);
      return out.subarray(0, raw.length);
    },
  });
  const t = arrow.tableFromIPC(bytes);
  const sum = (name, wrap) => {
    let s = 0n;
    for (const v of t.getChild(name)) if (v !== null) s += BigInt(v);
    return String(wrap(64, s));
  };
  const lengths = (name) => {
    let n = 0;
    let len = 0;
    for (const v of t.getChild(name)) {
      if (v === null) continue;
      n++;
      len += v.length;
    }
    return [n, len];
  };
  const types = {};
  for (const v of t.getChild("type")) types[v] = (types[v] ?? 0) + 1;
  const [paths, path_len] = lengths("path");
  const [, comm_len] = lengths("comm");
  // Timestamps come as milliseconds: sum the nanoseconds underneath.
  let ts = 0n;
  for (const d of t.getChild("ts").data) for (const v of d.values.subarray(0, d.length)) ts += v;
  return {
    rows: t.numRows,
    ret: sum("ret", BigInt.asIntN),
    bytes_in: sum("bytes_in", BigInt.asUintN),
    ts: String(BigInt.asIntN(64, ts)),
    paths,
    path_len,
    comm_len,
    types,
  };
}

const read = { polars, "arrow-js": arrowJS }[reader];
if (!read || !dir) {
  console.error("usage: node read.mjs polars|arrow-js DIR");
  process.exit(2);
}
for (const file of segments(dir)) {
  const got = read(fs.readFileSync(file));
  got.types = Object.fromEntries(Object.entries(got.types).sort(([a], [b]) => (a < b ? -1 : 1)));
  console.log(JSON.stringify({ segment: path.basename(file, ".arrows"), ...got }));
}
