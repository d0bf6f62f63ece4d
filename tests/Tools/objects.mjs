// Validates objects of Kubernetes' own kinds with kubernetes-models, which has the OpenAPI schemas of a release as code. Standard input: a list of objects;
// standard output: for each a list of its problems. The validators pass fields that they do not know: a field that none of them has read is one.
import { readFileSync } from "node:fs";

function watched(node, path, unread) {
  if (node === null || typeof node !== "object") {
    return node;
  }
  const inner = new Map();
  const read = new Set();
  // Nothing is read in a value of any type. Keywords with a prefix have other names there.
  unread.push(() => Array.isArray(node) || read.size === 0 ? [] : Object.keys(node)
    .filter((key) => !read.has(key) && !key.startsWith("x-kubernetes-")).map((key) => `${path}/${key}: unknown`));
  return new Proxy(node, {
    get(target, key) {
      read.add(key);
      if (!inner.has(key)) {
        inner.set(key, watched(target[key], `${path}/${String(key)}`, unread));
      }
      return inner.get(key);
    },
  });
}

async function problems(object) {
  const module = new URL(import.meta.resolve(`kubernetes-models/${object.apiVersion}/${object.kind}`));
  const [, schema] = /_schemas\/(\w+)\.js/.exec(readFileSync(module, "utf8"));
  const { validate } = await import(`kubernetes-models/_schemas/${schema}`);
  const unread = [];
  const found = validate(watched(object, "", unread)) ? [] : validate.errors.map(({ instancePath, keyword, params }) => `${instancePath}: ${keyword} ${JSON.stringify(params)}`);
  return [...found, ...unread.flatMap((ask) => ask())];
}

const results = [];
for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  results.push(await problems(object));
}
console.log(JSON.stringify(results));
