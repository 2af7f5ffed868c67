package page

import (
	"fmt"
	"time"

	"hermes-reconcile/engine/timeline"
)

// A look is the class of a state, and the sign before its word.
type look struct{ class, sign string }

var looks = map[timeline.State]look{
	timeline.Up: {"up", "▲"}, timeline.Down: {"down", "▽"}, timeline.Held: {"held", "◇"}, timeline.Paused: {"paused", "‖"}, timeline.Loop: {"loop", "✕"}, timeline.Unknown: {"unknown", "?"},
}

func percent(part float64) string { return fmt.Sprintf("%.2f%%", 100*part) }

// How wide a state is at least, as a part of a picture. What is now can always be seen.
const (
	narrowest    = 0.003
	narrowestNow = 0.015
)

// picture is the history of one profile.
func (p *printer) picture(name string) node {
	spans := p.Timeline.Profiles[name]
	var shapes []node
	for i, s := range spans {
		from, to, most := p.Timeline.Place(s.Start), p.Timeline.Place(s.End), 1-narrowestNow
		if i == len(spans)-1 {
			most = 1
			from = min(from, to-narrowestNow)
		}
		from, to = min(from, most-narrowest), min(max(to, from+narrowest), most)
		title := fmt.Sprintf("%s, %s to %s: %s", s.State, p.short(s.Start), p.short(s.End), s.Code)
		shapes = append(shapes, tag("rect", class(looks[s.State].class), attr{"x", percent(from)}, attr{"width", percent(to - from)}, tag("title", title)))
	}
	return tag("svg", class("bar"), attr{"role", "img"}, attr{"aria-label", "history, in words below"}, all(shapes...), tag("use", attr{"href", "#grid"}))
}

// grid is what all pictures have in common: the lines of boots and changes.
func (p *printer) grid() node {
	var lines []node
	add := func(of string, at time.Time) {
		x := percent(p.Timeline.Place(at))
		lines = append(lines, tag("line", class(of), attr{"x1", x}, attr{"x2", x}, attr{"y2", "18"}))
	}
	for _, at := range p.Timeline.Boots {
		add("boot", at)
	}
	for _, m := range p.Timeline.Marks {
		add("change", m.Time)
	}
	return all(lines...)
}

// closest is how close two labels of the axis may be, as a part of it.
const closest = 0.2

// axis has the days of boots, or their hours, as far as there is room, and the signs of changes.
func (p *printer) axis() node {
	format := "2 Jan"
	if p.Timeline.End.Sub(p.Timeline.Start) < 48*time.Hour {
		format = "15:04"
	}
	label := func(x float64, anchor, text string) node {
		return tag("text", attr{"x", percent(x)}, attr{"y", "30"}, attr{"text-anchor", anchor}, text)
	}
	parts := []node{label(0, "start", p.local(p.Timeline.Start).Format(format)), label(1, "end", "now")}
	last := 0.0
	for _, at := range p.Timeline.Boots {
		if x := p.Timeline.Place(at); x-last >= closest && 1-x >= closest/2 {
			parts = append(parts, label(x, "middle", p.local(at).Format(format)))
			last = x
		}
	}
	for _, m := range p.Timeline.Marks {
		parts = append(parts, tag("use", attr{"href", "#" + m.What}, attr{"x", percent(p.Timeline.Place(m.Time))}))
	}
	return all(parts...)
}

// local is a time in the zone in which people read it.
func (p *printer) local(at time.Time) time.Time { return at.In(p.Status.At.Location()) }

func (p *printer) long(at time.Time) string { return p.local(at).Format("2006-01-02 15:04:05 MST") }

// short writes a time as it stands beside pictures.
func (p *printer) short(at time.Time) string { return p.local(at).Format("2 Jan 15:04") }
