//go:build !race

package rego

const raceDetector = false
