// Runs artifacts in onnxruntime-web (WebAssembly, one thread) under Node; started by node.py.
//   node benchmarks/node.mjs CASES MODULES > answers.json
// CASES: folder of *.onnx and inputs.json, [{ids: [[…]], mask: [[…]]}]. MODULES: folder that has node_modules/onnxruntime-web.
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [cases, modules] = process.argv.slice(2);
const require = createRequire(path.resolve(modules, "node_modules", "from-here.js"));
const ort = await import(pathToFileURL(require.resolve("onnxruntime-web")));
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

const inputs = JSON.parse(fs.readFileSync(path.join(cases, "inputs.json"), "utf8"));
const tensor = (rows) => new ort.Tensor("int64", BigInt64Array.from(rows.flat().map(BigInt)), [rows.length, rows[0].length]);
const feeds = inputs.map(({ ids, mask }) => ({ input_ids: tensor(ids), attention_mask: tensor(mask) }));

const answers = {};
for (const file of fs.readdirSync(cases).filter((name) => name.endsWith(".onnx")).sort()) {
  const began = performance.now();
  try {
    const session = await ort.InferenceSession.create(fs.readFileSync(path.join(cases, file)), { executionProviders: ["wasm"] });
    const loaded = performance.now();
    const outputs = [];
    for (const feed of feeds) {
      const { logits, exit_depth } = await session.run(feed);
      outputs.push({ logits: Array.from(logits.data), depth: Number(exit_depth.data[0]) });
    }
    const ran = performance.now();
    answers[path.parse(file).name] = { load_ms: loaded - began, mean_ms: (ran - loaded) / feeds.length, outputs };
    await session.release();
  } catch (error) {
    answers[path.parse(file).name] = { error: String(error) };
  }
}
console.log(JSON.stringify({ node: process.version, "onnxruntime-web": ort.env.versions.web ?? ort.env.versions.common, answers }));
