package container

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"

	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/policy"
)

// labelsSchema is that of the fact "labels", a map without any fixed key.
const labelsSchema = `{
	"type": "object", "x-written-by": "operator",
	"description": "the labels of the container in a fleet, and a status: host and container (the hostname), image (its version, else its commit), and those of the configuration, which win",
	"additionalProperties": {"type": "string", "x-written-by": "operator", "description": "the value of a label; undefined when it is not set"}
}`

// LabelsSource describes the fact "labels", which AddLabels makes from other facts.
func LabelsSource() fact.Source {
	return fact.New(policy.LabelsFact, labelsSchema, func(context.Context) (any, error) { return struct{}{}, nil })
}

// AddLabels adds the fact "labels" to the facts about the container. It reads nothing.
func AddLabels(container policy.Facts, configured map[string]string) {
	var host hostFact
	var image imageFact
	_ = json.Unmarshal(container["host"], &host) // our own facts; saved ones may lack them
	_ = json.Unmarshal(container["image"], &image)
	labels := map[string]string{"status": policy.StatusRecorded}
	for name, value := range map[string]string{"host": host.Hostname, "container": host.Hostname, "image": cmp.Or(image.Version, image.SHA)} {
		if value != "" {
			labels[name] = value
		}
	}
	maps.Copy(labels, configured)
	container[policy.LabelsFact], _ = json.Marshal(labels) // texts
}
