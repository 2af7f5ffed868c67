package supervise

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
)

func TestPlacesOption(t *testing.T) {
	t.Parallel()
	tests := []struct {
		argv string
		want int
	}{
		{"s6-svscan -d4 -- /run/service", 0},
		{"s6-svscan -C 2000 /run/service", 2000},
		{"s6-svscan -C2000 -t0 /run/service", 2000},
		{"s6-svscan -c 700 /run/service", 1400},
		{"s6-svscan -d 4 -c30 .", 60},
		{"s6-svscan -- -C 5", 0},
		{"s6-svscan /run/-C 5", 0},
		{"s6-svscan -t C5 -C 8 .", 8},
		{"s6-svscan -C many .", 0},
		{"s6-svscan -C", 0},
		{"s6-svscan -C -5 .", 0},
	}
	for _, test := range tests {
		got, ok := placesOption(strings.Fields(test.argv))
		if got != test.want || ok != (test.want > 0) {
			t.Errorf("%s: got %d, %v, want %d", test.argv, got, ok, test.want)
		}
	}
}

// The limit of open files of s6-svscan counts, and is read from its process.
func TestCapacityByOpenFiles(t *testing.T) {
	t.Parallel()
	proc := t.TempDir()
	dir := filepath.Join(proc, "42")
	s6test.Must(t, os.Mkdir(dir, 0o755))
	s6test.Must(t, os.WriteFile(filepath.Join(dir, "cmdline"), []byte("s6-svscan\x00-C\x002000\x00/run/service\x00"), 0o644))
	limits := func(soft string) {
		text := "Limit                     Soft Limit           Hard Limit           Units     \n" +
			"Max processes             100                  100                  processes \n" +
			"Max open files            " + soft + "                 1048576              files     \n"
		s6test.Must(t, os.WriteFile(filepath.Join(dir, "limits"), []byte(text), 0o644))
	}
	running := Scanner{Known: true, Running: true, PID: 42}
	for soft, want := range map[string]policy.Capacity{
		"1024":      {Places: 2000, Used: 3, Gateways: 484, Source: FromOpenFiles},
		"1048576":   {Places: 2000, Used: 3, Gateways: 998, Source: FromArguments},
		"unlimited": {Places: 2000, Used: 3, Gateways: 998, Source: FromArguments},
		"40":        {Places: 2000, Used: 3, Gateways: 0, Source: FromOpenFiles},
	} {
		limits(soft)
		if got := capacity(proc, running, 3, 3); got != want {
			t.Errorf("%s open files: got %+v, want %+v", soft, got, want)
		}
	}
}
