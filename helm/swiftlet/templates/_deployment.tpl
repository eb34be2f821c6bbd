{{- /*
A Deployment of one component, hardened, probed at its admin port and given the time that its drain takes.
  root, component       the chart's $, "gateway"
  name                  of the Deployment
  settings              values.gateway, values.tokenizer, or values.worker with a model's entry over it
  image, ports, args    ports: list of dict name, port; args: YAML list, before the flags of settings
  model                 name of the model whose workers these are, else empty
  threadsFlag           environment variable that gets the number of cores
  startup               whether readiness says when it has started (else liveness alone)
  volumes               list of dict name, source (of a volume), mountPath, subPath
*/ -}}
{{- define "swiftlet.deployment" -}}
{{- $root := .root }}
{{- $settings := .settings }}
{{- $preStop := int (default 0 $settings.preStopSeconds) }}
{{- $volumes := .volumes }}
{{- with $root.Values.internalTls.secretName }}
{{- $volumes = append $volumes (dict "name" "internal-tls" "mountPath" "/etc/swiftlet/internal-tls"
  "source" (dict "secret" (dict "secretName" .))) }}
{{- end }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "swiftlet.labels" . | nindent 4 }}
    {{- with .model }}
    swiftlet.model: {{ . }}
    {{- end }}
spec:
  replicas: {{ $settings.replicas }}
  minReadySeconds: {{ $settings.minReadySeconds }}
  {{- if .startup }}
  progressDeadlineSeconds: {{ add $settings.startupSeconds $settings.minReadySeconds 300 }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "swiftlet.selector" . | nindent 6 }}
      {{- with .model }}
      swiftlet.model: {{ . }}
      {{- end }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {{ toJson $settings.rollout }}
  template:
    metadata:
      labels:
        # No more than that: a change of another label would restart every Pod.
        {{- include "swiftlet.selector" . | nindent 8 }}
        {{- with .model }}
        swiftlet.model: {{ . }}
        {{- end }}
        {{- with $settings.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $settings.podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "swiftlet.fullname" $root }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      # preStop, then the drain, then what a process takes to close.
      terminationGracePeriodSeconds: {{ add $preStop (int $settings.drainSeconds) 10 }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        seccompProfile: { type: RuntimeDefault }
      {{- with $root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      {{- with $settings.runtimeClassName }}
      runtimeClassName: {{ . }}
      {{- end }}
      containers:
        - name: {{ .component }}
          image: {{ include "swiftlet.image" . | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args:
            - --admin-port={{ (last .ports).port }}
            - --log-level={{ $root.Values.log.level }}
            - --log-format={{ $root.Values.log.format }}
            - {{ printf "--drain-seconds=%s" (toJson $settings.drainSeconds) }}
            {{- .args | nindent 12 }}
            {{- if $root.Values.internalTls.secretName }}
            - --internal-ssl-certfile=/etc/swiftlet/internal-tls/tls.crt
            - --internal-ssl-keyfile=/etc/swiftlet/internal-tls/tls.key
            - --internal-ssl-ca-certs=/etc/swiftlet/internal-tls/ca.crt
            {{- end }}
            {{- with $settings.flags }}
            {{- include "swiftlet.flags" . | trim | nindent 12 }}
            {{- end }}
          env:
            # A process counts the node's cores, not its own share of them.
            - name: {{ .threadsFlag }}
              valueFrom: { resourceFieldRef: { resource: limits.cpu } }
            {{- if gt (int (default 0 $settings.gpus)) 0 }}
            - { name: NVIDIA_DRIVER_CAPABILITIES, value: "compute,utility" }
            {{- end }}
          ports:
            {{- range .ports }}
            - { name: {{ .name }}, containerPort: {{ .port }}, protocol: TCP }
            {{- end }}
          {{- if .startup }}
          startupProbe:
            httpGet: { path: /readyz, port: admin }
            periodSeconds: 5
            failureThreshold: {{ divf $settings.startupSeconds 5 | ceil | int }}
          {{- end }}
          livenessProbe:
            httpGet: { path: /livez, port: admin }
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 3
          readinessProbe:
            httpGet: { path: /readyz, port: admin }
            periodSeconds: 2
            timeoutSeconds: 2
            failureThreshold: 2
          {{- if gt $preStop 0 }}
          lifecycle:
            preStop: { sleep: { seconds: {{ $preStop }} } }
          {{- end }}
          resources:
            {{- $resources := deepCopy $settings.resources }}
            {{- if gt (int (default 0 $settings.gpus)) 0 }}
            {{- $_ := set $resources "limits" (merge (dict $settings.gpuResource $settings.gpus) (default dict $resources.limits)) }}
            {{- end }}
            {{- toYaml $resources | nindent 12 }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: {{ ne $settings.readOnlyRootFilesystem false }}
            capabilities: { drop: [ALL] }
          {{- with $volumes }}
          volumeMounts:
            {{- range . }}
            - name: {{ .name }}
              mountPath: {{ .mountPath }}
              {{- with .subPath }}
              subPath: {{ . | quote }}
              {{- end }}
              {{- if not .writable }}
              readOnly: true
              {{- end }}
            {{- end }}
          {{- end }}
      {{- with $volumes }}
      volumes:
        {{- range . }}
        - name: {{ .name }}
          {{- toYaml .source | nindent 10 }}
        {{- end }}
      {{- end }}
      {{- range $key := list "nodeSelector" "tolerations" "affinity" }}
      {{- with get $settings $key }}
      {{ $key }}: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- end }}
      {{- with $settings.topologySpreadConstraints }}
      topologySpreadConstraints: {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end -}}
