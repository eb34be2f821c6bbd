{{- define "swiftlet.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 32 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 32 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- /* What selects the Pods of a component: dict "root" $ "component" "gateway" */ -}}
{{- define "swiftlet.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "swiftlet.labels" -}}
{{ include "swiftlet.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{- /* dict "root" $ "image" "swiftlet-gateway" */ -}}
{{- define "swiftlet.image" -}}
{{- with .root.Values.image.registry }}{{ . }}/{{ end }}{{ .image }}:{{ default .root.Chart.AppVersion .root.Values.image.tag }}
{{- end -}}

{{- /* The name by which gateways find a component's Pods: dict "root" $ "component" "worker" */ -}}
{{- define "swiftlet.headless" -}}
{{ include "swiftlet.fullname" .root }}-{{ .component }}s.{{ .root.Release.Namespace }}.svc
{{- end -}}

{{- /* A map of flags as arguments. JSON writes a large number in full, where a template would write 3.3e+07. */ -}}
{{- define "swiftlet.flags" -}}
{{- range $name, $value := . }}
- {{ printf "--%s=%s" $name (kindIs "string" $value | ternary $value (toJson $value)) | quote }}
{{- end }}
{{- end -}}
