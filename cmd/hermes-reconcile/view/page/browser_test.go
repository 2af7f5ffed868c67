package page_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/view/page"
)

var update = flag.Bool("update", false, "keep the screenshots of this run")

// A browser is a headless Chromium that is told what to do through a pipe.
type browser struct {
	t       *testing.T
	to      io.Writer
	from    *bufio.Reader
	session string
	asked   int
	said    []string // messages of the console, and violations of the page's policy
}

// newBrowser starts a browser with an empty profile. It ends with the test.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	toRead, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, toWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "browser")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe", "--user-data-dir="+dir, "about:blank")
	cmd.ExtraFiles = []*os.File{toRead, toWrite}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	toRead.Close()
	toWrite.Close()
	b := &browser{t: t, to: to, from: bufio.NewReader(from)}
	deadline := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() }) // a browser that hangs ends the test
	t.Cleanup(func() {
		to.Close() // ends the browser
		_ = cmd.Wait()
		deadline.Stop()
		from.Close()
		_ = os.RemoveAll(dir) // its helpers may still write there
	})
	var target struct {
		TargetID string `json:"targetId"`
	}
	b.ask("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	b.ask("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Audits"} {
		b.ask(domain+".enable", nil, nil)
	}
	return b
}

// A message is an answer or an event.
type message struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

func (b *browser) read() message {
	b.t.Helper()
	text, err := b.from.ReadBytes(0)
	if err != nil {
		b.t.Fatalf("the browser: %v", err)
	}
	var m message
	if err := json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m); err != nil {
		b.t.Fatal(err)
	}
	switch m.Method {
	case "Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Audits.issueAdded":
		b.said = append(b.said, string(m.Params))
	}
	return m
}

// ask has the browser do something, and waits for the answer.
func (b *browser) ask(method string, params map[string]any, answer any) {
	b.t.Helper()
	b.asked++
	command := map[string]any{"id": b.asked, "method": method}
	if params != nil {
		command["params"] = params
	}
	if b.session != "" {
		command["sessionId"] = b.session
	}
	text, err := json.Marshal(command)
	if err == nil {
		_, err = b.to.Write(append(text, 0))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	for {
		m := b.read()
		if m.ID != b.asked {
			continue
		}
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error)
		}
		if answer != nil {
			if err := json.Unmarshal(m.Result, answer); err != nil {
				b.t.Fatal(err)
			}
		}
		return
	}
}

// open shows an address and waits until it is loaded.
func (b *browser) open(address string) {
	b.t.Helper()
	b.ask("Page.navigate", map[string]any{"url": address}, nil)
	for b.read().Method != "Page.loadEventFired" {
	}
}

// look makes the window so wide, light or dark.
func (b *browser) look(width int, scheme string) {
	b.t.Helper()
	b.ask("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	b.ask("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// value evaluates JavaScript.
func value[T any](b *browser, script string) T {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value T }
		ExceptionDetails json.RawMessage
	}
	b.ask("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true}, &answer)
	if answer.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", script, answer.ExceptionDetails)
	}
	return answer.Result.Value
}

// A box is where an element is, in pixels.
type box struct{ X, Y, Width, Height float64 }

func (b *browser) box(element string) box {
	b.t.Helper()
	return value[box](b, fmt.Sprintf(`(e => { if (!e) return {}; const r = e.getBoundingClientRect(); return {X: r.x + scrollX, Y: r.y + scrollY, Width: r.width, Height: r.height} })(document.querySelector(%q))`, element))
}

// picture takes a picture of a part of the page.
func (b *browser) picture(at box) (image.Image, []byte) {
	b.t.Helper()
	var answer struct{ Data string }
	b.ask("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true, "clip": map[string]any{"x": at.X, "y": at.Y, "width": at.Width, "height": at.Height, "scale": 1}}, &answer)
	text, err := base64.StdEncoding.DecodeString(answer.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		b.t.Fatal(err)
	}
	return picture, text
}

// serve serves a page.
func serve(t *testing.T, text string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusNoContent) // a browser asks for an icon
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", page.Policy())
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// A view is a screen on which the page is looked at.
type screen struct {
	name   string
	width  int
	scheme string
}

var screens = []screen{{"light", 1280, "light"}, {"dark", 1280, "dark"}, {"phone", 360, "light"}}

// sections are the parts of the page that are compared.
var sections = []string{"header", "#attention", "#situation", "#profiles", "#rules", "#settings"}

// The page looks in a real browser as it did when somebody looked at it: no error, nothing that
// its policy forbids, every profile, nothing beside the screen, text that can be read.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser: runs without the race detector")
	}
	t.Parallel()
	b := newBrowser(t)
	d := example(14, 30)
	b.open(serve(t, written(d)))
	for _, s := range screens {
		b.look(s.width, s.scheme)
		for _, name := range d.Status.Names() {
			if row := b.box(fmt.Sprintf("#p%d", value[int](b, fmt.Sprintf(`[...document.querySelectorAll(".profile")].findIndex(e => e.querySelector("summary b").textContent == %q)`, name)))); row == (box{}) {
				t.Errorf("%s: there is no %s", s.name, name)
			}
		}
		if wide := value[int](b, "document.documentElement.scrollWidth"); wide != s.width {
			t.Errorf("%s: the page is %d pixels wide, want %d", s.name, wide, s.width)
		}
		for _, text := range value[[]string](b, faint) {
			t.Errorf("%s: %s", s.name, text)
		}
		b.compare(s)
		if dir := os.Getenv("SCREENSHOTS"); dir != "" {
			b.keep(filepath.Join(dir, s.name+".png"))
		}
	}
	b.filters()
	b.printed(len(d.Status.Profiles))

	b.open(serve(t, written(example(100, 30))))
	b.look(360, "light")
	if n, wide := value[int](b, `document.querySelectorAll(".profile .bar").length`), value[int](b, "document.documentElement.scrollWidth"); n != 100 || wide != 360 {
		t.Errorf("of 100 profiles there are %d, and the page is %d pixels wide, want 360", n, wide)
	}
	for _, said := range b.said {
		t.Errorf("the browser says %s", said)
	}
}

// faint lists the texts whose contrast to what is behind them is less than WCAG's AA wants.
const faint = `(() => {
	const parse = c => c.match(/[\d.]+/g).map(Number);
	const light = c => { const [r, g, b] = parse(c).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b };
	const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (parse(c)[3] !== 0) return c } return "rgb(255, 255, 255)" };
	document.querySelectorAll("details").forEach(e => e.open = true);
	const bad = new Set();
	for (const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); walk.nextNode();) {
		const e = walk.currentNode.parentElement;
		if (!walk.currentNode.data.trim() || e.closest("title, .patterns")) continue;
		const of = getComputedStyle(e), a = light(e.closest("svg") ? of.fill : of.color), b = light(behind(e));
		const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		if (ratio < 4.5) bad.add(e.tagName + "." + e.className + ": contrast " + ratio.toFixed(2) + ", want 4.5");
	}
	document.querySelectorAll("details").forEach(e => e.open = false);
	return [...bad];
})()`

// filters checks that a choice shows the profiles that it names, without any script.
func (b *browser) filters() {
	b.t.Helper()
	shown := `[...document.querySelectorAll(".profile")].filter(e => e.getClientRects().length).map(e => e.querySelector("summary b").textContent).join(" ")`
	for _, choice := range [][2]string{{"wrong", "coder scratch"}, {"held", "nightly"}, {"loop", "coder support"}, {"unknown", "scratch"}} {
		value[bool](b, fmt.Sprintf(`document.querySelector("#f-%s").checked = true`, choice[0]))
		if got := value[string](b, shown); got != choice[1] {
			b.t.Errorf("the choice %s shows %q, want %q", choice[0], got, choice[1])
		}
	}
}

// printed checks that paper has what the screen has only when it is opened.
func (b *browser) printed(profiles int) {
	b.t.Helper()
	b.ask("Emulation.setEmulatedMedia", map[string]any{"media": "print"}, nil)
	value[bool](b, `document.querySelector("#f-all").checked = true`)
	if n := value[int](b, `[...document.querySelectorAll(".profile")].filter(e => e.getBoundingClientRect().height > 300).length`); n != profiles {
		b.t.Errorf("on paper there are the reasons of %d profiles, want %d", n, profiles)
	}
}

// keep writes a picture of the beginning of the page, with a profile opened.
func (b *browser) keep(file string) {
	b.t.Helper()
	value[bool](b, `document.querySelector(".profile").open = true`)
	_, text := b.picture(box{Width: value[float64](b, "innerWidth"), Height: min(2600, value[float64](b, "document.documentElement.scrollHeight"))})
	value[bool](b, `document.querySelector(".profile").open = false`)
	if err := os.WriteFile(file, text, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// The measure of a picture is made for machines with different fonts. Each section becomes a
// grid of columns x rows cells, whatever its height, and a cell is the mean of its pixels. A cell
// has changed if no cell of the kept grid near it is like it. A text in another font moves by
// less than that. A section that is missing, a blank page, and other colours change more cells.
const (
	columns, rows = 48, 32
	near          = 2    // cells
	alike         = 26   // of 255, in each colour
	mostChanged   = 0.05 // of the cells of a section
)

// gridOf is the grid of a picture, one pixel for each cell.
func gridOf(picture image.Image) *image.RGBA {
	grid := image.NewRGBA(image.Rect(0, 0, columns, rows))
	size := picture.Bounds().Size()
	for y := range rows {
		for x := range columns {
			var sum [3]int
			pixels := 0
			for py := y * size.Y / rows; py < max((y+1)*size.Y/rows, y*size.Y/rows+1); py++ {
				for px := x * size.X / columns; px < max((x+1)*size.X/columns, x*size.X/columns+1); px++ {
					r, g, b, _ := picture.At(px, py).RGBA()
					sum[0], sum[1], sum[2], pixels = sum[0]+int(r>>8), sum[1]+int(g>>8), sum[2]+int(b>>8), pixels+1
				}
			}
			grid.SetRGBA(x, y, color.RGBA{uint8(sum[0] / pixels), uint8(sum[1] / pixels), uint8(sum[2] / pixels), 255})
		}
	}
	return grid
}

// changed is the part of the cells of a grid that another one does not have, or has and it has
// not.
func changed(grid, kept *image.RGBA) float64 {
	missing := func(in, from *image.RGBA) (n int) {
		for y := range rows {
			for x := range columns {
				if !isNear(from.RGBAAt(x, y), in, x, y) {
					n++
				}
			}
		}
		return n
	}
	return float64(max(missing(grid, kept), missing(kept, grid))) / (columns * rows)
}

// isNear reports whether a cell of a grid near a place is like a colour.
func isNear(c color.RGBA, in *image.RGBA, x, y int) bool {
	for dy := max(-near, -y); dy <= min(near, rows-1-y); dy++ {
		for dx := max(-1, -x); dx <= min(1, columns-1-x); dx++ {
			at := in.RGBAAt(x+dx, y+dy)
			if distance(c.R, at.R) <= alike && distance(c.G, at.G) <= alike && distance(c.B, at.B) <= alike {
				return true
			}
		}
	}
	return false
}

func distance(a, b uint8) int { return max(int(a)-int(b), int(b)-int(a)) }

// The measure finds that a section is blank, and that its colours are others.
func TestMeasure(t *testing.T) {
	pictures := map[string]image.Image{}
	for _, s := range screens {
		pictures[s.name] = kept(t, s)
	}
	for i, section := range sections {
		for _, s := range screens {
			grid, blank := part(pictures[s.name], i), image.NewRGBA(image.Rect(0, 0, columns, rows))
			draw.Draw(blank, blank.Bounds(), image.NewUniform(grid.At(columns-1, 0)), image.Point{}, draw.Src)
			if n := changed(blank, grid); n <= mostChanged {
				t.Errorf("%s: a blank %s changes %.1f %% of it", s.name, section, 100*n)
			}
		}
		if n := changed(part(pictures["light"], i), part(pictures["dark"], i)); n < 0.5 {
			t.Errorf("light instead of dark changes %.1f %% of %s", 100*n, section)
		}
	}
}

// kept is the kept picture of all sections, which are below each other.
func kept(t *testing.T, s screen) image.Image {
	t.Helper()
	text, err := os.ReadFile(s.file())
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

func (s screen) file() string { return filepath.Join("testdata", s.name+".png") }

// part is the grid of a section in a kept picture.
func part(kept image.Image, section int) *image.RGBA {
	grid := image.NewRGBA(image.Rect(0, 0, columns, rows))
	draw.Draw(grid, grid.Bounds(), kept, image.Pt(0, section*rows), draw.Src)
	return grid
}

// compare compares the sections with those of the kept picture.
func (b *browser) compare(s screen) {
	b.t.Helper()
	all := image.NewRGBA(image.Rect(0, 0, columns, rows*len(sections)))
	var grids []*image.RGBA
	for i, section := range sections {
		at := b.box(section)
		if at.Height < 20 || at.Width < 200 {
			b.t.Fatalf("%s: the section %s is missing: %+v", s.name, section, at)
		}
		picture, _ := b.picture(at)
		grids = append(grids, gridOf(picture))
		draw.Draw(all, image.Rect(0, i*rows, columns, (i+1)*rows), grids[i], image.Point{}, draw.Src)
	}
	if *update {
		var text bytes.Buffer
		if err := png.Encode(&text, all); err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(s.file(), text.Bytes(), 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	picture := kept(b.t, s)
	for i, section := range sections {
		n := changed(grids[i], part(picture, i))
		b.t.Logf("%s: %.1f %% of %s", s.name, 100*n, section)
		if n > mostChanged {
			b.t.Errorf("%s: %.1f %% of %s has changed, want at most %.0f %%. If it should look so, look at it (SCREENSHOTS=dir) and run with -update.", s.name, 100*n, section, 100*mostChanged)
		}
	}
}
