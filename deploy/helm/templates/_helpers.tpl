{{- define "keepalive.labels" -}}
app.kubernetes.io/name: keepalive-agent
app.kubernetes.io/part-of: keepalive
{{- end }}

{{- define "keepalive.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* YAML of version 1.1 reads on and off without quotes as true and false. */}}
{{- define "keepalive.kubernetes" -}}
{{ if kindIs "bool" .Values.kubernetes }}{{ ternary "on" "off" .Values.kubernetes }}{{ else }}{{ .Values.kubernetes }}{{ end }}
{{- end }}
