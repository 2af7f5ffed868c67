//go:build race

package rego

const raceDetector = true
