{{/*
What a sidecar is made from, and who gets none, as JSON. The same text is a setting of the operator.
*/}}
{{- define "audit-operator.sidecarTemplate" -}}
{{- $image := default (include "audit-operator.image" .) .Values.sidecar.image -}}
{{- dict
  "excludedNamespaces" (concat .Values.sidecar.excludedNamespaces (list .Release.Namespace (include "audit-operator.agentNamespace" .)) | uniq)
  "image" $image
  "imagePullPolicy" .Values.image.pullPolicy
  "resources" .Values.sidecar.resources
| toJson -}}
{{- end -}}

{{/*
The digest of what makes the container. An injected pod carries it, and the operator counts pods with another one as stale;
so one more excluded namespace must not change it.
*/}}
{{- define "audit-operator.sidecarRevision" -}}
{{- omit (include "audit-operator.sidecarTemplate" . | fromJson) "excludedNamespaces" | toJson | sha256sum | trunc 16 -}}
{{- end -}}

{{/* Whether the API server injects, without any server of ours; the webhook does where it cannot. */}}
{{- define "audit-operator.sidecarByPolicy" -}}
{{- if .Values.sidecar.enabled -}}
{{- /* Where no cluster is asked, as in `helm template`, its version says it. */ -}}
{{- $served := or (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy") (semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version) -}}
{{- if or (eq .Values.sidecar.mechanism "AdmissionPolicy") (and (eq .Values.sidecar.mechanism "Auto") $served) -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{- define "audit-operator.sidecarByWebhook" -}}
{{- if and .Values.sidecar.enabled (not (include "audit-operator.sidecarByPolicy" .)) -}}true{{- end -}}
{{- end -}}

{{/* A map of strings, in CEL. */}}
{{- define "audit-operator.celMap" -}}
{ {{- range $index, $key := keys . | sortAlpha }}{{ if $index }}, {{ end }}{{ $key | quote }}: {{ get $ $key | toString | quote }}{{ end -}} }
{{- end -}}

{{/* The template's requests or limits, in CEL; with so much storage where the pod's is limited and the template says nothing of it. */}}
{{- define "audit-operator.sidecarResources" -}}
{{- $resources := (index . 0).resources -}}
{{- $own := get $resources (index . 1) | default dict -}}
{{- if or (hasKey (default dict $resources.requests) "ephemeral-storage") (hasKey (default dict $resources.limits) "ephemeral-storage") -}}
{{- include "audit-operator.celMap" $own -}}
{{- else -}}
variables.isStorageLimited ? {{ include "audit-operator.celMap" (merge (dict "ephemeral-storage" (index . 2)) $own) }} : {{ include "audit-operator.celMap" $own }}
{{- end -}}
{{- end -}}

{{/* Those that speak of the pod alone. */}}
{{- define "audit-operator.podConditions" -}}
- name: is-not-opted-out
  expression: >-
    object.metadata.?labels[?"audit-operator.dev/inject"].orValue("") != "false"
    && object.metadata.?annotations[?"audit-operator.dev/inject"].orValue("") != "false"
# An affinity that leads to Windows alone is not looked at. Mirror pods are made by a kubelet from a file, and nothing can be added to them.
- name: can-run-it
  expression: >-
    object.spec.?os.?name.orValue("linux") == "linux"
    && object.spec.?nodeSelector[?"kubernetes.io/os"].orValue("linux") == "linux"
    && !("kubernetes.io/config.mirror" in object.metadata.?annotations.orValue({}))
# With what the sidecar asks for, its containers could ask for more than the pod has, and the pod would be refused.
- name: has-no-resources-as-a-whole
  expression: '!has(object.spec.resources)'
{{- end -}}

{{/* The conditions under which a pod gets the sidecar of a policy; the webhook's patch has the same in Python. */}}
{{- define "audit-operator.sidecarConditions" -}}
- name: collects-application-logs
  expression: has(params.spec.applicationLogs)
# A longer name, or one with a dot, does not fit into those of a container and of its volumes.
- name: has-a-name-that-fits
  expression: size(params.metadata.name) <= 42 && !params.metadata.name.contains(".")
{{ include "audit-operator.podConditions" . }}
- name: has-the-labels
  expression: >-
    params.spec.applicationLogs.?podSelector.?matchLabels.orValue({}).all(key,
      key in object.metadata.?labels.orValue({})
      && object.metadata.labels[key] == params.spec.applicationLogs.podSelector.matchLabels[key])
- name: meets-the-requirements
  expression: >-
    params.spec.applicationLogs.?podSelector.?matchExpressions.orValue([]).all(each,
      each.operator == "Exists" ? each.key in object.metadata.?labels.orValue({})
      : each.operator == "DoesNotExist" ? !(each.key in object.metadata.?labels.orValue({}))
      : (each.operator == "In") == (each.key in object.metadata.?labels.orValue({})
        && object.metadata.labels[each.key] in each.values))
- name: has-not-got-it
  expression: >-
    !object.spec.containers.exists(each, each.name == "audit-shipper-" + params.metadata.name)
    && !object.spec.?initContainers.orValue([]).exists(each, each.name == "audit-shipper-" + params.metadata.name)
    && !object.spec.?volumes.orValue([]).exists(each, each.name in [
      "audit-shipper-config-" + params.metadata.name, "audit-shipper-state-" + params.metadata.name,
      "audit-shipper-secret-" + params.metadata.name, "audit-shipper-keys-" + params.metadata.name])
{{- end -}}
