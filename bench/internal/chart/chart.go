// Package chart draws results as SVG.
package chart

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/openoms/openoms/bench/internal/result"
)

// Sizes in pixels.
const (
	panelWidth  = 560
	margin      = 24
	nameWidth   = 96
	labelWidth  = 176 // right of the longest bar
	rowHeight   = 20
	headHeight  = 34
	legendSpace = 84
	plotHeight  = 180
)

// drawing collects elements.
type drawing struct{ strings.Builder }

// text writes at x and y; anchor is start, middle or end.
func (d *drawing) text(x, y float64, class, anchor, s string) {
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">`, x, y, class, anchor)
	_ = xml.EscapeText(d, []byte(s)) // a builder takes everything
	d.WriteString("</text>\n")
}

func (d *drawing) rect(x, y, width, height float64, class string) {
	fmt.Fprintf(d, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="%s"/>`+"\n", x, y, width, height, class)
}

func (d *drawing) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(d, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

// page wraps what was drawn.
func (d *drawing) page(width, height float64) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="system-ui, sans-serif">
<style>
.paper { fill: #ffffff }
.title { font-size: 17px; font-weight: 600; fill: #1c2733 }
.head { font-size: 13px; font-weight: 600; fill: #1c2733 }
.name { font-size: 12px; fill: #1c2733 }
.own { font-size: 12px; font-weight: 700; fill: #0b57d0 }
.note { font-size: 11px; fill: #52606d }
.bad { font-size: 11px; font-weight: 600; fill: #b3261e }
.oms { fill: #0b57d0; stroke: #0b57d0 }
.copier { fill: #6b7785; stroke: #6b7785 }
.peer { fill: #c77700; stroke: #c77700 }
rect { stroke-width: 0 }
.wait { fill-opacity: 0.28 }
polyline { fill: none !important; stroke-width: 2 }
.axis { stroke: #c3cbd4; stroke-width: 1 }
.grid { stroke: #e6eaee; stroke-width: 1 }
</style>
<rect width="100%%" height="100%%" class="paper"/>
%s</svg>
`, width, height, width, height, d.String())
}

// legend explains the colours.
func (d *drawing) legend(title string, solid, light string) {
	d.text(margin, 32, "title", "start", title)
	x := float64(margin)
	for _, c := range []struct {
		class result.Class
		name  string
	}{{result.Ours, "oms"}, {result.Copier, "bare copier: no signatures, retries, checks or checkpoint"}, {result.Peer, "others"}} {
		d.rect(x, 47, 12, 12, string(c.class))
		d.text(x+18, 57, "note", "start", c.name)
		x += 40 + 5.6*float64(len(c.name))
	}
	if solid == "" {
		return
	}
	d.rect(x, 47, 12, 12, string(result.Ours))
	d.text(x+18, 57, "note", "start", solid)
	x += 40 + 5.6*float64(len(solid))
	d.rect(x, 47, 12, 12, string(result.Ours)+" wait")
	d.text(x+18, 57, "note", "start", light)
}

// Bars draws one panel for each scenario: a bar for the wall time of each tool, and in it the CPU time.
func Bars(f *result.File) string {
	var d drawing
	d.legend("Time that each tool needs, medians", "CPU", "waiting, up to the wall time")
	y := [2]float64{legendSpace, legendSpace}
	for _, g := range f.Groups() {
		column := 0
		if y[1] < y[0] {
			column = 1
		}
		y[column] += d.barPanel(margin+float64(column)*(panelWidth+margin), y[column], g)
	}
	return d.page(2*panelWidth+3*margin, max(y[0], y[1])+margin/2)
}

// barPanel returns its height.
func (d *drawing) barPanel(x, y float64, g result.Group) float64 {
	longest := 0.0
	for _, s := range g.Summaries {
		longest = max(longest, s.Wall.Median, s.CPU.Median)
	}
	scale := (panelWidth - nameWidth - labelWidth) / longest
	d.text(x, y+16, "head", "start", "("+g.Scenario+") "+g.Title)
	for i, s := range g.Summaries {
		top := y + headHeight - 6 + float64(i)*rowHeight
		name := "name"
		if s.Tool.Class == result.Ours {
			name = "own"
		}
		d.text(x+nameWidth-6, top+13, name, "end", s.Tool.Name)
		width := scale * s.CPU.Median
		d.rect(x+nameWidth, top+3, max(width, 1.5), rowHeight-6, string(s.Tool.Class))
		if waited := scale*s.Wall.Median - width; waited > 0 {
			d.rect(x+nameWidth+width, top+3, waited, rowHeight-6, string(s.Tool.Class)+" wait")
		}
		note, label := "note", seconds(s.CPU.Median)+" s CPU, "+seconds(s.Wall.Median)+" s"
		if !s.Good() {
			note, label = "bad", label+", failed"
		}
		d.text(x+nameWidth+scale*max(s.Wall.Median, s.CPU.Median)+6, top+13, note, "start", label)
	}
	return headHeight + rowHeight*float64(len(g.Summaries)) + 16
}

// seconds writes a time with two or three digits.
func seconds(s float64) string {
	switch {
	case s < 1:
		return strconv.FormatFloat(s, 'f', 2, 64)
	case s < 20:
		return strconv.FormatFloat(s, 'f', 1, 64)
	default:
		return strconv.FormatFloat(s, 'f', 0, 64)
	}
}

// curve is one line of a plot.
type curve struct {
	name   string
	class  result.Class
	points []point
}

type point struct{ x, y float64 }

// Curves draws for each scenario that grows the cost of each tool, and how fast it was, against the point.
func Curves(f *result.File) string {
	var d drawing
	d.legend("How cost and speed grow, medians", "", "")
	y := float64(legendSpace)
	for groups := range byScenario(f.Groups()) {
		g := groups[0]
		d.text(margin, y+10, "head", "start", g.Title)
		cost := curves(groups, func(g result.Group, s result.Summary) float64 { return g.CPUPerUnit(s.CPU.Median) })
		rate := curves(groups, func(g result.Group, s result.Summary) float64 { return g.Rate(s.Wall.Median) })
		axis := result.Axis(g.Scenario)
		d.plot(margin, y+24, g.Unit(), axis, cost)
		d.plot(2*margin+panelWidth, y+24, g.RateUnit(), axis, rate)
		y += plotHeight + 84
	}
	return d.page(2*panelWidth+3*margin, y)
}

// byScenario yields the groups of one scenario together.
func byScenario(groups []result.Group) func(yield func([]result.Group) bool) {
	return func(yield func([]result.Group) bool) {
		for len(groups) > 0 {
			n := 1
			for n < len(groups) && groups[n].Scenario == groups[0].Scenario {
				n++
			}
			if !yield(groups[:n]) {
				return
			}
			groups = groups[n:]
		}
	}
}

// curves makes one line for each tool.
func curves(groups []result.Group, of func(result.Group, result.Summary) float64) []curve {
	var all []curve
	for _, g := range groups {
		for _, s := range g.Summaries {
			i := slices.IndexFunc(all, func(c curve) bool { return c.name == s.Tool.Name })
			if i < 0 {
				i = len(all)
				all = append(all, curve{name: s.Tool.Name, class: s.Tool.Class})
			}
			all[i].points = append(all[i].points, point{g.X, of(g, s)})
		}
	}
	return all
}

// plot draws lines over a logarithmic x axis.
func (d *drawing) plot(x, y float64, unit, axis string, lines []curve) {
	const left, right = 64, 96
	low, high, top := math.Inf(1), 0.0, 0.0
	var ticks []float64
	for _, c := range lines {
		for _, p := range c.points {
			low, high, top = min(low, p.x), max(high, p.x), max(top, p.y)
			if !slices.Contains(ticks, p.x) {
				ticks = append(ticks, p.x)
			}
		}
	}
	step := niceStep(top)
	top = step * math.Ceil(top/step)
	across := func(v float64) float64 {
		if high == low {
			return x + left
		}
		return x + left + (panelWidth-left-right)*math.Log(v/low)/math.Log(high/low)
	}
	up := func(v float64) float64 { return y + plotHeight - (plotHeight-20)*v/top }
	d.text(x+left, y+8, "note", "start", unit)
	for v := 0.0; v <= top*1.001; v += step {
		d.line(x+left, up(v), x+panelWidth-right, up(v), "grid")
		d.text(x+left-6, up(v)+4, "note", "end", short(v))
	}
	d.line(x+left, up(0), x+panelWidth-right, up(0), "axis")
	for _, t := range ticks {
		d.text(across(t), up(0)+16, "note", "middle", short(t))
	}
	d.text(x+left+(panelWidth-left-right)/2, up(0)+32, "note", "middle", axis)
	names := make([]float64, 0, len(lines)) // where names are written already
	slices.SortFunc(lines, func(a, b curve) int { return cmp.Compare(last(b).y, last(a).y) })
	for _, c := range lines {
		d.WriteString(`<polyline class="` + string(c.class) + `" points="`)
		for _, p := range c.points {
			fmt.Fprintf(d, "%.1f,%.1f ", across(p.x), up(p.y))
		}
		d.WriteString("\"/>\n")
		for _, p := range c.points {
			fmt.Fprintf(d, `<circle cx="%.1f" cy="%.1f" r="3" class="%s"/>`+"\n", across(p.x), up(p.y), c.class)
		}
		at := up(last(c).y) + 4
		if n := len(names); n > 0 {
			at = max(at, names[n-1]+13)
		}
		names = append(names, at)
		class := "name"
		if c.class == result.Ours {
			class = "own"
		}
		d.text(across(last(c).x)+8, at, class, "start", c.name)
	}
}

func last(c curve) point { return c.points[len(c.points)-1] }

// niceStep returns a round distance of grid lines, of which about four fit below top.
func niceStep(top float64) float64 {
	if top <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(top/4)))
	for _, m := range []float64{1, 2, 5} {
		if top/(unit*m) <= 5 {
			return unit * m
		}
	}
	return unit * 10
}

// short writes a number with K and M.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 4, 64) + "M"
	case v >= 1e4:
		return strconv.FormatFloat(v/1e3, 'g', 4, 64) + "K"
	default:
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
}
