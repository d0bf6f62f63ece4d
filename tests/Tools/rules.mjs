// Evaluates the validation rules of custom resource definitions for objects, with @bufbuild/cel. Standard input: {"definitions": [...], "objects": [...]};
// standard output: for each object a list of the rules that it violates. Two functions are Kubernetes' own, in stand-ins that use Node's net.isIP.
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { CelScalar, celFunc, isCelError, run } from "@bufbuild/cel";

const isAddress = (text) => isIP(text) !== 0 && !text.includes("%") && !/^::ffff:/i.test(text);
const isBlock = (text) => {
  const [address, length, ...more] = text.split("/");
  return more.length === 0 && isAddress(address) && /^(0|[1-9][0-9]*)$/.test(length ?? "") && Number(length) <= (isIP(address) === 4 ? 32 : 128);
};
const funcs = [
  celFunc("isIP", [CelScalar.STRING], CelScalar.BOOL, isAddress),
  celFunc("isCIDR", [CelScalar.STRING], CelScalar.BOOL, isBlock),
];

// Integers of JSON are integers of the language, not floating-point numbers.
const value = (node) =>
  typeof node === "number" ? BigInt(node)
    : Array.isArray(node) ? node.map(value)
    : node !== null && typeof node === "object" ? Object.fromEntries(Object.entries(node).map(([key, inner]) => [key, value(inner)]))
    : node;

function* violations(schema, node, path) {
  for (const { rule, message } of schema["x-kubernetes-validations"] ?? []) {
    let result;
    try {
      result = run(rule, { self: value(node) }, { funcs });
    } catch (error) {
      result = error;
    }
    if (result !== true) {
      yield `${path}: ${message}${result === false ? "" : ` (${isCelError(result) || result instanceof Error ? result.message : result})`}`;
    }
  }
  if (Array.isArray(node)) {
    for (const [index, item] of node.entries()) {
      yield* violations(schema.items ?? {}, item, `${path}/${index}`);
    }
  } else if (node !== null && typeof node === "object") {
    for (const [key, inner] of Object.entries(node)) {
      yield* violations(schema.properties?.[key] ?? {}, inner, `${path}/${key}`);
    }
  }
}

const { definitions, objects } = JSON.parse(readFileSync(0, "utf8"));
const schemaOf = ({ kind }) => definitions.find((one) => one.spec.names.kind === kind).spec.versions[0].schema.openAPIV3Schema;
console.log(JSON.stringify(objects.map((object) => [...violations(schemaOf(object), object, "")])));
