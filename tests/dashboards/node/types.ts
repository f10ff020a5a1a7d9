// SPDX-License-Identifier: GPL-2.0-only
// What the tests check the dashboards against, as one type: the JSON Schema is made from it.
import type * as dashboard from './node_modules/@grafana/schema/dist/types/raw/dashboard/x/types.gen';
import type * as barchart from './node_modules/@grafana/schema/dist/types/raw/composable/barchart/panelcfg/x/types.gen';
import type * as bargauge from './node_modules/@grafana/schema/dist/types/raw/composable/bargauge/panelcfg/x/types.gen';
import type * as canvas from './node_modules/@grafana/schema/dist/types/raw/composable/canvas/panelcfg/x/types.gen';
import type * as gauge from './node_modules/@grafana/schema/dist/types/raw/composable/gauge/panelcfg/x/types.gen';
import type * as heatmap from './node_modules/@grafana/schema/dist/types/raw/composable/heatmap/panelcfg/x/types.gen';
import type * as nodegraph from './node_modules/@grafana/schema/dist/types/raw/composable/nodegraph/panelcfg/x/types.gen';
import type * as stat from './node_modules/@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen';
import type * as statetimeline from './node_modules/@grafana/schema/dist/types/raw/composable/statetimeline/panelcfg/x/types.gen';
import type * as table from './node_modules/@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen';
import type * as text from './node_modules/@grafana/schema/dist/types/raw/composable/text/panelcfg/x/types.gen';
import type * as timeseries from './node_modules/@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen';

export interface Everything {
  dashboard: dashboard.Dashboard;
  panel: dashboard.Panel;
  row: dashboard.RowPanel;
  barchart: { options: barchart.Options; custom: barchart.FieldConfig };
  bargauge: { options: bargauge.Options };
  canvas: { options: canvas.Options };
  gauge: { options: gauge.Options };
  heatmap: { options: heatmap.Options; custom: heatmap.FieldConfig };
  nodeGraph: { options: nodegraph.Options };
  stat: { options: stat.Options };
  'state-timeline': { options: statetimeline.Options; custom: statetimeline.FieldConfig };
  table: { options: table.Options; custom: table.FieldConfig };
  text: { options: text.Options };
  timeseries: { options: timeseries.Options; custom: timeseries.FieldConfig };
}
