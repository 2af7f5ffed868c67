package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/engine/decisionlog"
	"hermes-reconcile/s6/s6test"
)

// An opaCollector takes what OPA sends, once it is on.
type opaCollector struct {
	*httptest.Server
	mutex    sync.Mutex
	on       bool
	events   []decisionlog.Event
	statuses []decisionlog.Status
}

func newOPACollector(t *testing.T) *opaCollector {
	c := &opaCollector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		if !c.on {
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		body, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		var events []decisionlog.Event
		var status decisionlog.Status
		if r.URL.Path == "/logs" {
			err = json.NewDecoder(body).Decode(&events)
		} else {
			err = json.NewDecoder(body).Decode(&status)
			c.statuses = append(c.statuses, status)
		}
		if err != nil {
			t.Errorf("%s: %v", r.URL, err)
		}
		c.events = append(c.events, events...)
	}))
	t.Cleanup(c.Close)
	return c
}

// got returns the profiles of all events, in their order, and the newest status.
func (c *opaCollector) got() (profiles string, newest decisionlog.Status) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var names []string
	for _, e := range c.events {
		names = append(names, e.RequestedBy+":"+e.Result.Profile+"="+string(e.Result.Action))
	}
	if n := len(c.statuses); n > 0 {
		newest = c.statuses[n-1]
	}
	return strings.Join(names, " "), newest
}

// watching runs a watch until the test ends, or until it is killed.
func (l *liveScan) watching() *exec.Cmd {
	l.t.Helper()
	cmd := apart(l.t, append([]string{"watch"}, l.places...))
	var text strings.Builder
	cmd.Stdout, cmd.Stderr = &text, &text
	s6test.Must(l.t, cmd.Start())
	l.t.Cleanup(func() {
		if l.t.Failed() {
			l.t.Log(text.String())
		}
	})
	return cmd
}

// A boot does not wait for a collector that is down. The watch sends what the boot and itself
// have decided once it is there, in order, also after it was killed, and the status.
func TestCollector(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running", "writer=stopped")
	c := newOPACollector(t)
	l.configure(os.Getuid(), os.Getgid(), "labels: {site: berlin}", "watch: {debounce: 10ms}", "decision_log: {url: \""+c.URL+"\"}")
	l.want(cli.ExitDone, "profile=coder", "boot")
	watch := l.watching()
	l.write("home/profiles/coder/gateway_state.json", `{"desired_state":"stopped"}`, 0o644)
	s6test.Until(t, "the change waits", func() bool {
		files, err := filepath.Glob(filepath.Join(l.stateDir(), "decisions/*.jsonl"))
		return err == nil && len(files) == 2
	})
	s6test.Must(t, watch.Process.Signal(unix.SIGKILL))
	_ = watch.Wait()
	c.mutex.Lock()
	c.on = true
	c.mutex.Unlock()
	l.watching()
	want := "boot:coder=start boot:default=down boot:writer=down watch:coder=down"
	s6test.Until(t, "the collector has "+want, func() bool {
		got, _ := c.got()
		return len(got) >= len(want)
	})
	if got, _ := c.got(); got != want {
		t.Errorf("the collector has %s, want %s", got, want)
	}
	s6test.Until(t, "the status", func() bool {
		_, s := c.got()
		return s.Labels["site"] == "berlin" && s.Bundles["policy"].ActiveRevision != "" && !s.Bundles["policy"].Activated.IsZero()
	})
	s6test.Until(t, "status knows of the upload", func() bool {
		d := l.status()
		return d.DecisionLog != nil && d.DecisionLog.Buffered == 0 && d.DecisionLog.Problem == "" && !d.DecisionLog.Uploaded.IsZero()
	})
}

// A prometheus is a real one, which scrapes services and evaluates rules.
type prometheus struct {
	t       *testing.T
	address string
}

func startPrometheus(t *testing.T, targets ...string) prometheus {
	t.Helper()
	dir := t.TempDir()
	examples, err := filepath.Abs(examplesDir)
	s6test.Must(t, err)
	text := fmt.Sprintf(`global: {scrape_interval: 100ms, scrape_timeout: 100ms, evaluation_interval: 100ms}
rule_files: [%[1]s/alerts.yaml, %[1]s/alerts-fleet.yaml]
scrape_configs: [{job_name: hermes, static_configs: [{targets: ["%[2]s"]}]}]
`, examples, strings.Join(targets, `", "`))
	s6test.Must(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(text), 0o644))
	p := prometheus{t, unusedPort(t)}
	cmd := exec.CommandContext(t.Context(), "prometheus", "--config.file="+dir+"/prometheus.yml", "--storage.tsdb.path="+dir+"/data", "--web.listen-address="+p.address, "--log.level=error")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Skipf("prometheus: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	return p
}

func unusedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s6test.Must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// ask asks for a path of the API, and reports whether it answered.
func (p prometheus) ask(path string, to any) bool {
	answer, err := http.Get("http://" + p.address + "/api/v1/" + path)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return err == nil && answer.StatusCode == http.StatusOK && json.Unmarshal(text, to) == nil
}

// A dashboard is what the test reads of one of Grafana.
type dashboard struct {
	Panels []struct {
		Title, Description string
		FieldConfig        struct{ Defaults struct{ Unit string } }
		Targets            []struct{ Expr, LegendFormat string }
	}
}

// Two real services, whose rules differ, are scraped by a real Prometheus. It evaluates the
// alert rules of the examples, and has an answer for each panel of the dashboard. The dashboard
// names only metrics and labels that exist.
func TestFleetInPrometheus(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("prometheus"); err != nil {
		t.Skip("prometheus is not installed")
	}
	var addresses, scraped []string
	for n, profile := range []string{"coder", "writer"} {
		l := startLive(t, profile+"=running")
		address := unusedPort(t)
		more := []string{"labels: {site: berlin}", "watch: {listen: " + address + "}", "decision_log: {file: " + l.base + "/decisions.jsonl}"}
		s6test.Must(t, os.Chmod(l.base, 0o755))
		if n > 0 {
			l.policy("package reconcile.rules.mine\n\nhold contains {\"profile\": \"writer\", \"code\": \"mine\", \"reason\": \"mine\"} if input.profiles.writer\n\nalarm contains {\"reason\": \"look\", \"code\": \"mine\"} if input.phase == \"apply\"\n")
			more = append(more, "policy: ["+l.base+"/policy]")
		}
		l.configure(os.Getuid(), os.Getgid(), more...)
		l.watching()
		s6test.Until(t, address+" answers", func() bool {
			answer, err := http.Get("http://" + address + "/metrics")
			if err != nil {
				return false
			}
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			ready := err == nil && strings.Contains(string(text), "hermes_reconcile_decision_log_complete 1")
			if ready {
				scraped = append(scraped, string(text))
			}
			return ready
		})
		addresses = append(addresses, address)
	}
	p := startPrometheus(t, addresses...)
	for _, alert := range []string{"HermesRevisionDrift", "HermesHeld"} {
		s6test.Until(t, alert+" is pending", func() bool {
			var rules struct {
				Data struct {
					Groups []struct {
						Rules []struct{ Name, State, Health, LastError string }
					}
				}
			}
			found := false
			if p.ask("rules", &rules) {
				for _, group := range rules.Data.Groups {
					for _, rule := range group.Rules {
						if rule.Health == "err" {
							t.Fatalf("%s: %s", rule.Name, rule.LastError)
						}
						found = found || rule.Name == alert && rule.State == "pending"
					}
				}
			}
			return found
		})
	}

	var board dashboard
	s6test.Must(t, json.Unmarshal(exampleFile(t, "grafana-fleet.json"), &board))
	known := regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(strings.Join(scraped, ""), -1)
	metrics := regexp.MustCompile(`(?m)^hermes_reconcile_[a-z_]+`).FindAllString(strings.Join(scraped, ""), -1)
	if len(board.Panels) < 10 {
		t.Errorf("%d panels", len(board.Panels))
	}
	for _, panel := range board.Panels {
		if panel.Title == "" || panel.Description == "" || panel.FieldConfig.Defaults.Unit == "" || len(panel.Targets) == 0 {
			t.Errorf("the panel %q lacks something: %+v", panel.Title, panel)
		}
		for _, target := range panel.Targets {
			for _, name := range regexp.MustCompile(`hermes_reconcile_[a-z_]+`).FindAllString(target.Expr, -1) {
				// A container without trouble has no alarm.
				if !slices.Contains(metrics, name) && name != "hermes_reconcile_watch_lease_ours" {
					t.Errorf("%s: no metric is called %s", panel.Title, name)
				}
			}
			for _, part := range regexp.MustCompile(`(?:by|on) \(([a-z_, ]+)\)|[{,]([a-z_]+)=|\{\{([a-z_]+)\}\}`).FindAllStringSubmatch(target.Expr+target.LegendFormat, -1) {
				label := part[1] + part[2] + part[3]
				if label != "instance" && !slices.ContainsFunc(known, func(k []string) bool { return k[1] == label }) {
					t.Errorf("%s: no metric has the label %s", panel.Title, label)
				}
			}
			expr := strings.ReplaceAll(target.Expr, "$instance", ".*")
			s6test.Until(t, panel.Title+": "+expr+" has an answer", func() bool {
				var answer struct {
					Data struct{ Result []json.RawMessage }
				}
				return p.ask("query?query="+url.QueryEscape(expr), &answer) && (len(answer.Data.Result) > 0 || strings.Contains(expr, "lease"))
			})
		}
	}
}
