{{/* Names, labels and the image: what several objects have in common. */}}

{{- define "audit-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "audit-operator.serviceAccount" -}}
{{- default (include "audit-operator.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "audit-operator.agentNamespace" -}}
{{- default (printf "%s-agent" .Release.Namespace) .Values.nodeAgent.namespace -}}
{{- end -}}

{{- define "audit-operator.shippedControlPlane" -}}
{{- coalesce (ternary .Values.gateway.controlPlane .Values.shipper.controlPlane .Values.gateway.enabled) .Values.controlPlane.name -}}
{{- end -}}

{{/* The nodes of shippers as a label selector: role=control-plane,zone=a. */}}
{{- define "audit-operator.shipperNodeSelector" -}}
{{- $terms := list -}}
{{- range $key, $value := .Values.shipper.nodeSelector -}}
{{- $terms = append $terms (printf "%s=%s" $key $value) -}}
{{- end -}}
{{- join "," $terms -}}
{{- end -}}

{{- define "audit-operator.uninstallName" -}}
{{- include "audit-operator.fullname" . }}-uninstall
{{- end -}}

{{- /* Not empty where report objects are written: else their owner has to go, and they with it. */ -}}
{{- define "audit-operator.reports" -}}
{{- if and .Values.reports.enabled (ne (toString (get .Values.settings "reportSeconds")) "0") }}true{{ end -}}
{{- end -}}

{{- define "audit-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "audit-operator.labels" -}}
{{ include "audit-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "audit-operator.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What a pod needs to be admitted under the "restricted" pod security standard. */}}
{{- define "audit-operator.restrictedPod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "audit-operator.restrictedContainer" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/*
Whether shippers count what detections are about. Counts tell users, sources and names of objects of all namespaces to
whoever may scrape: so somebody has to say who that is.
*/}}
{{- define "audit-operator.countsDetections" -}}
{{- if or .Values.detections.countsForEverybody (and .Values.networkPolicy.enabled .Values.networkPolicy.metricsFrom) -}}true{{- end -}}
{{- end -}}

{{/* Settings as environment variables: logLevel is AUDIT_OPERATOR_LOG_LEVEL. */}}
{{- define "audit-operator.settings" -}}
{{- $settings := .Values.settings -}}
{{- if not (include "audit-operator.countsDetections" .) -}}
{{- $settings = omit $settings "detectionConditions" -}}
{{- end -}}
{{- range $name, $value := $settings }}
- name: AUDIT_OPERATOR_{{ $name | snakecase | upper }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{/* Whether the operator tries what sidecars are to read. */}}
{{- define "audit-operator.triesSidecars" -}}
{{- if and .Values.sidecar.enabled (ne (toString .Values.settings.shipperCanary) "false") -}}true{{- end -}}
{{- end -}}

{{/* The ConfigMaps that driver ConfigMap may write, as JSON: {"targets": [{"namespace": ..., "name": ...}]}. */}}
{{- define "audit-operator.configMapTargets" -}}
{{- $targets := .Values.configMapDriver.targets -}}
{{- with .Values.controlPlane -}}
{{- if and .create .spec.configMap -}}
{{- $targets = append $targets (pick .spec.configMap "namespace" "name") | uniq -}}
{{- end -}}
{{- end -}}
{{- dict "targets" $targets | toJson -}}
{{- end -}}

{{/* Whether a control plane can be made by a hook, and taken over into the release later; control-plane.yaml says why. */}}
{{- define "audit-operator.hookedControlPlane" -}}
{{- if semverCompare ">=4.0.0-0" .Capabilities.HelmVersion.Version -}}true{{- end -}}
{{- end -}}
