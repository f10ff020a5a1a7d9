// SPDX-License-Identifier: GPL-2.0-only
// What a panel gets to draw: Grafana's own code, from Prometheus's answers to the panel's queries.
// stdin: {"targets": [...], "transformations": [...], "answers": {refId: data}}
// stdout: [{"refId": ..., "fields": [{"name", "display", "type", "values"}]}]
const Module = require('module');
const path = require('path');

const load = Module._load;
// It is of the browser, and only asked for links of exemplars, which are not used here.
Module._load = function (request, ...rest) {
  if (request === '@grafana/runtime') {
    return { config: { featureToggles: {} }, getDataSourceSrv: () => ({}) };
  }
  return load.call(this, request, ...rest);
};
const data = require('@grafana/data');
const { transformV2 } = require(
  path.resolve('node_modules/@grafana/prometheus/dist/cjs/result_transformer.cjs')
);
globalThis.window = globalThis;

const known = new Map();
for (const transformer of Object.values(data.standardTransformers)) {
  known.set(transformer.id, transformer);
}
data.standardTransformersRegistry.setInit(() =>
  [...known.values()].map((t) => ({
    id: t.id, name: t.name, transformation: async () => t, description: '', editor: () => null,
  }))
);

// As Grafana's server makes them: a frame per series, labels at the value.
function frames(refId, answer) {
  return answer.result.map(({ metric, value, values }) => {
    const points = values ?? [value];
    return data.toDataFrame({
      refId,
      meta: { custom: { resultType: answer.resultType } },
      fields: [
        { name: 'Time', type: data.FieldType.time, values: points.map(([t]) => t * 1000) },
        {
          name: 'Value', type: data.FieldType.number, labels: metric,
          values: points.map(([, v]) => Number(v)),
        },
      ],
    });
  });
}

function shown(frame, all) {
  return {
    refId: frame.refId,
    fields: frame.fields.map((field) => ({
      name: field.name,
      display: data.getFieldDisplayName(field, frame, all),
      type: field.type,
      values: [...field.values],
    })),
  };
}

async function main(input) {
  const { targets, transformations, answers } = JSON.parse(input);
  const raw = Object.entries(answers).flatMap(([refId, answer]) => frames(refId, answer));
  const { data: typed } = transformV2({ data: raw }, { targets }, {});
  const unknown = transformations.map((t) => t.id).filter((id) => !known.has(id));
  if (unknown.length) {
    throw new Error(`not in @grafana/data: ${unknown}`);
  }
  data.transformDataFrame(transformations, typed).subscribe((result) => {
    console.log(JSON.stringify(result.map((frame) => shown(frame, result))));
  });
}

let input = '';
process.stdin.on('data', (chunk) => (input += chunk)).on('end', () => main(input));
