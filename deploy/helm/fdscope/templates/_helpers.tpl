{{/* SPDX-License-Identifier: GPL-2.0-only */}}
{{- define "fdscope.name" -}}
{{ ternary .Release.Name (printf "%s-fdscope" .Release.Name | trunc 63 | trimSuffix "-") (contains "fdscope" .Release.Name) }}
{{- end }}

{{- define "fdscope.selector" -}}
app.kubernetes.io/name: fdscope
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "fdscope.labels" -}}
{{ include "fdscope.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "fdscope.account" -}}
{{ .Values.serviceAccount.name | default (include "fdscope.name" .) }}
{{- end }}

{{- define "fdscope.probe" -}}
{{- if (index . 0).Values.webConfig.secret -}}
tcpSocket:
  port: metrics
{{- else -}}
httpGet:
  path: {{ index . 1 }}
  port: metrics
{{- end }}
{{- end }}

{{/* The folders of the node from which names of containers come, as JSON. */}}
{{- define "fdscope.folders" -}}
{{- $names := .Values.containerNames }}
{{- $folders := ternary (list "/var/log/containers" "/var/log/pods") list $names.fromLogs }}
{{- $folders = concat $folders (ternary $names.statePaths list $names.fromState) }}
{{- toJson $folders }}
{{- end }}
