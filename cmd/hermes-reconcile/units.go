package main

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// durations takes "2s" and refuses 2, which would be nanoseconds.
func durations(from, to reflect.Type, value any) (any, error) {
	if to != reflect.TypeFor[time.Duration]() {
		return value, nil
	}
	text, ok := value.(string)
	if !ok {
		return nil, fmt.Errorf("%v is no duration, want one with a unit, such as 2s", value)
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return nil, fmt.Errorf("%q is no duration above 0, want one with a unit, such as 2s", text)
	}
	return d, nil
}

// A byteSize is a number of bytes; the configuration has it with a unit.
type byteSize int64

// sizes takes "256MiB" and refuses 256, which could be anything.
func sizes(from, to reflect.Type, value any) (any, error) {
	if to != reflect.TypeFor[byteSize]() {
		return value, nil
	}
	text, _ := value.(string)
	for unit, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		number, ok := strings.CutSuffix(text, unit)
		if n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32); ok && err == nil && n > 0 {
			return byteSize(n * bytes), nil
		}
	}
	return nil, fmt.Errorf("%v is no size, want one with a unit, such as 256MiB", value)
}

// checkUnit asserts that a value is a duration or a size where the standard one is.
func checkUnit(standard, value string) error {
	for to, hook := range map[reflect.Type]func(from, to reflect.Type, value any) (any, error){
		reflect.TypeFor[time.Duration](): durations, reflect.TypeFor[byteSize](): sizes,
	} {
		if _, err := hook(nil, to, standard); err != nil {
			continue
		}
		if _, err := hook(nil, to, value); err != nil {
			return err
		}
	}
	return nil
}
