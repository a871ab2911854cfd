{{- define "blackbox.labels" -}}
app.kubernetes.io/name: blackbox
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* Names of what has to be mounted; nothing where nobody ships or asks. */ -}}
{{- define "blackbox.fleet-password" -}}{{ if .Values.fleet.url }}{{ .Values.fleet.passwordSecret }}{{ end }}{{- end }}
{{- define "blackbox.fleet-token" -}}{{ if .Values.fleet.url }}{{ .Values.fleet.tokenSecret }}{{ end }}{{- end }}
{{- define "blackbox.fleet-ca" -}}{{ if or .Values.fleet.url .Values.fleet.read.url }}{{ .Values.fleet.caConfigMap }}{{ end }}{{- end }}
{{- define "blackbox.fleet-read-password" -}}{{ if .Values.fleet.read.url }}{{ .Values.fleet.read.passwordSecret }}{{ end }}{{- end }}

{{- define "blackbox.fleetArguments" -}}
{{- $fleet := .Values.fleet }}
{{- with $fleet.url }}
- {{ printf "--fleet=%s" . | quote }}
- --fleet-users={{ $fleet.users }}
{{- end }}
{{- if and $fleet.url $fleet.user }}
- {{ printf "--fleet-user=%s" $fleet.user | quote }}
{{- end }}
{{- if include "blackbox.fleet-password" . }}
- --fleet-password-file=/etc/blackbox-fleet/password/password
{{- end }}
{{- if include "blackbox.fleet-token" . }}
- --fleet-token-file=/etc/blackbox-fleet/token/token
{{- end }}
{{- if include "blackbox.fleet-ca" . }}
- --fleet-ca=/etc/blackbox-fleet/ca/ca.crt
{{- end }}
{{- if and $fleet.database (or $fleet.url $fleet.read.url) }}
- --fleet-database={{ $fleet.database }}
{{- end }}
{{- if and $fleet.tenant $fleet.url }}
- {{ printf "--fleet-tenant=%s" $fleet.tenant | quote }}
{{- end }}
{{- with $fleet.read.url }}
- {{ printf "--fleet-read=%s" . | quote }}
{{- end }}
{{- if and $fleet.read.url $fleet.read.user }}
- {{ printf "--fleet-read-user=%s" $fleet.read.user | quote }}
{{- end }}
{{- if include "blackbox.fleet-read-password" . }}
- --fleet-read-password-file=/etc/blackbox-fleet/read-password/password
{{- end }}
{{- end }}
