{{- define "blackbox.labels" -}}
app.kubernetes.io/name: blackbox
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
