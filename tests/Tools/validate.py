"""Validates objects against the schemas of custom resource definitions, with python3-jsonschema.

Standard input: {"definitions": [...], "objects": [...]}; standard output: for each object a list of its problems. As an API server with strict field
validation, which kubectl asks for, fields that a schema does not name are problems."""
import json
import sys

import jsonschema


def closed(schema):
    """The schema as JSON Schema: OpenAPI has these two as keywords of its own."""
    if not isinstance(schema, dict):
        return schema
    result = {key: value for key, value in schema.items() if not key.startswith('x-')}
    for key in ('items', 'additionalProperties'):
        if key in schema:
            result[key] = closed(schema[key])
    if 'properties' in schema:
        result['properties'] = {name: closed(value) for name, value in schema['properties'].items()}
        result.setdefault('additionalProperties', bool(schema.get('x-kubernetes-preserve-unknown-fields')))
    if schema.get('x-kubernetes-list-type') == 'set':
        result['uniqueItems'] = True
    return result


def main():
    given = json.load(sys.stdin)
    validators = {}
    for definition in given['definitions']:
        version = definition['spec']['versions'][0]
        schema = closed(version['schema']['openAPIV3Schema'])
        # The server has the schema of these.
        schema['properties']['metadata'] = {'type': 'object'}
        jsonschema.Draft4Validator.check_schema(schema)
        validators[definition['spec']['group'] + '/' + version['name'], definition['spec']['names']['kind']] = jsonschema.Draft4Validator(schema)
    json.dump([
        ['/'.join(map(str, error.path)) + ': ' + error.message for error in validators[found['apiVersion'], found['kind']].iter_errors(found)]
        for found in given['objects']], sys.stdout)


main()
