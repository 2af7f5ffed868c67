package main

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-reconcile/policy"
)

func startTestVolume(t *testing.T) *childVolume {
	t.Helper()
	v, err := startVolume(volumeSettings{Home: t.TempDir(), Timeout: 10 * time.Millisecond, SourceTimeout: time.Second}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// A volume that hangs stops the child; whoever waits for it goes on.
func TestAVolumeThatHangs(t *testing.T) {
	v := startTestVolume(t)
	if err := v.process.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	_, err := v.Collect(t.Context(), func(string, policy.Facts) {})
	if err == nil || err.Error() != "the volume does not answer in time" {
		t.Errorf("Collect: %v, want an error that says so", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	sweep := []policy.Operation{{Op: policy.OpSweep, Profile: "coder", File: "gateway.pid"}, {Op: policy.OpPublish, Profile: "coder"}}
	results := v.Execute(ctx, sweep)
	if len(results) != 1 || results[0].Err == nil || results[0].Done {
		t.Errorf("Execute: %+v, want one result, an error, for the sweep alone", results)
	}
	if err := v.AppendLog(ctx, "x.log", []byte("x\n")); err == nil {
		t.Error("AppendLog: no error")
	}
}

// A child that dies is an error for what was asked, with its cause.
func TestTheProcessForTheVolumeDies(t *testing.T) {
	v := startTestVolume(t)
	if err := v.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, err := v.Collect(t.Context(), func(string, policy.Facts) {})
	if err == nil || !strings.Contains(err.Error(), "the process for the volume ended") {
		t.Errorf("Collect: %v, want an error that says so", err)
	}
}
