package config

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
		return nil, fmt.Errorf("%v is not a duration, want one with a unit, such as 2s", value)
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return nil, fmt.Errorf("%q is not a duration above 0, want one with a unit, such as 2s", text)
	}
	return d, nil
}

// A ByteSize is a number of bytes, with a unit in the configuration.
type ByteSize int64

// sizes takes "256MiB" and refuses 256, which could be anything.
func sizes(from, to reflect.Type, value any) (any, error) {
	if to != reflect.TypeFor[ByteSize]() {
		return value, nil
	}
	text, _ := value.(string)
	for unit, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		number, ok := strings.CutSuffix(text, unit)
		if n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32); ok && err == nil && n > 0 {
			return ByteSize(n * bytes), nil
		}
	}
	return nil, fmt.Errorf("%v is not a size, want one with a unit, such as 256MiB", value)
}

// checkUnit checks that a value is a duration or a size when the default is one.
func checkUnit(standard, value string) error {
	for to, hook := range map[reflect.Type]func(from, to reflect.Type, value any) (any, error){
		reflect.TypeFor[time.Duration](): durations, reflect.TypeFor[ByteSize](): sizes,
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
