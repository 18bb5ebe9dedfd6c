{{- define "tapio.fullname" -}}
{{- if contains "tapio" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-tapio{{ end -}}
{{- end }}

{{/* (list $ component) → labels by which a selector finds the component; they never change. */}}
{{- define "tapio.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: tapio
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* (list $ component) → labels of pods: none that a new version of the chart changes, or it would restart them all. */}}
{{- define "tapio.podLabels" -}}
{{ include "tapio.selector" . }}
app.kubernetes.io/part-of: tapio
{{- end }}

{{/* (list $ component) → all labels. */}}
{{- define "tapio.labels" -}}
{{- $root := index . 0 -}}
{{ include "tapio.selector" . }}
app.kubernetes.io/part-of: tapio
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end }}

{{/* (list $ component) → metadata of a namespaced object called after the component. */}}
{{- define "tapio.metadata" -}}
{{- $root := index . 0 -}}
metadata:
  name: {{ include "tapio.fullname" $root }}-{{ index . 1 }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "tapio.labels" . | nindent 4 }}
{{- end }}

{{/* (list $ image) → the image's full name. */}}
{{- define "tapio.image" -}}
{{- $root := index . 0 -}}
{{- $image := index $root.Values.images (index . 1) -}}
{{- with $root.Values.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end }}

{{- define "tapio.authSecret" -}}
{{ .Values.authSecret | default (printf "%s-auth" (include "tapio.fullname" .)) }}
{{- end }}

{{- define "tapio.natsUrl" -}}
{{- if .Values.nats.enabled -}}
nats://{{ include "tapio.fullname" . }}-nats.{{ .Release.Namespace }}:4222
{{- else -}}
{{ .Values.nats.external.url | required "nats.enabled is false: name the bus in nats.external.url, for example tls://nats.example.com:4222" }}
{{- end -}}
{{- end }}

{{/* (list $ user port extraEnv) → what every process of Tapio is told. */}}
{{- define "tapio.env" -}}
{{- $root := index . 0 -}}
{{- $user := index . 1 -}}
env:
  - name: TAPIO_NATS_URL
    value: {{ include "tapio.natsUrl" $root | quote }}
  {{- if include "tapio.credentials" $root }}
  - name: TAPIO_NATS_CREDS
    value: /etc/tapio/credentials/{{ $user }}.creds
  {{- else }}
  - name: TAPIO_NATS_USER
    value: {{ $user }}
  - name: TAPIO_NATS_PASSWORD
    valueFrom: {secretKeyRef: {name: {{ include "tapio.authSecret" $root }}, key: {{ $user }}}}
  {{- end }}
  - name: TAPIO_NATS_INBOX_PREFIX
    value: _INBOX_{{ $user }}
  {{- if include "tapio.ca" $root }}
  - name: TAPIO_NATS_CA
    value: /etc/tapio/nats/ca.crt
  {{- end }}
  - name: TAPIO_CLUSTER
    value: {{ $root.Values.cluster | quote }}
  - name: TAPIO_PARTITIONS
    value: {{ $root.Values.partitions | quote }}
  - name: TAPIO_STREAM_REPLICAS
    value: {{ ternary $root.Values.nats.replicas $root.Values.nats.external.streamReplicas $root.Values.nats.enabled | quote }}
  - name: TAPIO_LOG
    value: {{ $root.Values.logLevel | quote }}
  - name: TAPIO_NODE
    valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
  - name: TAPIO_HEALTH_ADDR
    value: "0.0.0.0:{{ index . 2 }}"
  {{- with index . 3 }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Secrets with the authority, and with credentials, of a bus of one's own; nothing where there are none. */}}
{{- define "tapio.ca" -}}
{{- if not .Values.nats.enabled }}{{ .Values.nats.external.caSecret }}{{ end -}}
{{- end }}
{{- define "tapio.credentials" -}}
{{- if not .Values.nats.enabled }}{{ .Values.nats.external.credentialsSecret }}{{ end -}}
{{- end }}

{{/* $ → where a container finds them. */}}
{{- define "tapio.busMounts" -}}
{{- if include "tapio.ca" . }}
- {name: nats-ca, mountPath: /etc/tapio/nats, readOnly: true}
{{- end }}
{{- if include "tapio.credentials" . }}
- {name: nats-credentials, mountPath: /etc/tapio/credentials, readOnly: true}
{{- end }}
{{- end }}

{{/* (list $ user) → the volumes for them, with no other role's credentials. */}}
{{- define "tapio.busVolumes" -}}
{{- $root := index . 0 -}}
{{- $user := index . 1 -}}
{{- with include "tapio.ca" $root }}
- {name: nats-ca, secret: {secretName: {{ . }}}}
{{- end }}
{{- with include "tapio.credentials" $root }}
- {name: nats-credentials, secret: {secretName: {{ . }}, items: [{key: {{ $user }}.creds, path: {{ $user }}.creds}]}}
{{- end }}
{{- end }}

{{/* port's name → probes on what the process says of itself. */}}
{{- define "tapio.probes" -}}
readinessProbe: {httpGet: {path: /readyz, port: {{ . }}}, periodSeconds: 5}
livenessProbe: {httpGet: {path: /healthz, port: {{ . }}}, periodSeconds: 10, failureThreshold: 6}
{{- end }}

{{/* For everything that touches no kernel. */}}
{{- define "tapio.unprivileged" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* (list $ component) → replicas on different nodes, where there are some. */}}
{{- define "tapio.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "tapio.selector" . | nindent 8 }}
{{- end }}

{{/* (list $ spec patch) → the pod's spec, with the user's patch over it. */}}
{{- define "tapio.podSpec" -}}
{{- $root := index . 0 -}}
{{- $spec := index . 1 | fromYaml -}}
{{- with $spec.Error }}{{ fail . }}{{ end -}}
{{- with $root.Values.imagePullSecrets }}{{ $_ := set $spec "imagePullSecrets" . }}{{ end -}}
{{- mergeOverwrite $spec (deepCopy (index . 2)) | toYaml -}}
{{- end }}
