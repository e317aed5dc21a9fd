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
	nth    int // among the tools of its class
	points []point
}

type point struct{ x, y float64 }

// Curves draws for each scenario that grows the cost of each tool, and how fast it was, against the point.
func Curves(f *result.File) string {
	var d drawing
	d.legend("How cost and speed grow, medians; logarithmic axes", "", "")
	y := float64(legendSpace)
	for groups := range byScenario(f.Groups()) {
		g := groups[0]
		d.text(margin, y+10, "head", "start", g.Title)
		cost := curves(f.Tools, groups, func(g result.Group, s result.Summary) float64 { return g.CPUPerUnit(s.CPU.Median) })
		rate := curves(f.Tools, groups, func(g result.Group, s result.Summary) float64 { return g.Rate(s.Wall.Median) })
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
func curves(tools []result.Tool, groups []result.Group, of func(result.Group, result.Summary) float64) []curve {
	var all []curve
	nth := map[result.Class]int{}
	for _, t := range tools {
		c := curve{name: t.Name, class: t.Class, nth: nth[t.Class]}
		nth[t.Class]++
		for _, g := range groups {
			for _, s := range g.Summaries {
				if s.Tool.Name == t.Name {
					c.points = append(c.points, point{g.X, of(g, s)})
				}
			}
		}
		if len(c.points) > 0 {
			all = append(all, c)
		}
	}
	return all
}

// plot draws lines; both axes are logarithmic.
func (d *drawing) plot(x, y float64, unit, axis string, lines []curve) {
	const left, right = 64, 96
	wide, tall := interval{low: math.Inf(1)}, interval{low: math.Inf(1)}
	var ticks []float64
	for _, c := range lines {
		for _, p := range c.points {
			wide.add(p.x)
			tall.add(p.y)
			if !slices.Contains(ticks, p.x) {
				ticks = append(ticks, p.x)
			}
		}
	}
	levels := tall.widen()
	across := func(v float64) float64 { return x + left + (panelWidth-left-right)*wide.share(v) }
	up := func(v float64) float64 { return y + plotHeight - (plotHeight-20)*tall.share(v) }
	d.text(x+left, y+8, "note", "start", unit)
	for _, v := range levels {
		d.line(x+left, up(v), x+panelWidth-right, up(v), "grid")
		d.text(x+left-6, up(v)+4, "note", "end", short(v))
	}
	d.line(x+left, y+plotHeight, x+panelWidth-right, y+plotHeight, "axis")
	for _, t := range ticks {
		d.text(across(t), y+plotHeight+16, "note", "middle", short(t))
	}
	d.text(x+left+(panelWidth-left-right)/2, y+plotHeight+32, "note", "middle", axis)
	slices.SortFunc(lines, func(a, b curve) int { return cmp.Compare(last(b).y, last(a).y) })
	var heights []float64
	for _, c := range lines {
		dashes := ""
		if c.nth > 0 {
			dashes = fmt.Sprintf(` stroke-dasharray="%d 4"`, max(2, 10-3*c.nth))
		}
		fmt.Fprintf(d, `<polyline class="%s"%s points="`, c.class, dashes)
		for _, p := range c.points {
			fmt.Fprintf(d, "%.1f,%.1f ", across(p.x), up(p.y))
		}
		d.WriteString("\"/>\n")
		for _, p := range c.points {
			fmt.Fprintf(d, `<circle cx="%.1f" cy="%.1f" r="3" class="%s"/>`+"\n", across(p.x), up(p.y), c.class)
		}
		heights = append(heights, up(last(c).y)+4)
	}
	for i, at := range apart(heights, 13, y+plotHeight+2) {
		class := "name"
		if lines[i].class == result.Ours {
			class = "own"
		}
		d.text(across(wide.high)+10, at, class, "start", lines[i].name)
	}
}

func last(c curve) point { return c.points[len(c.points)-1] }

// apart moves ascending heights so that they keep a distance and end at the latest at the lowest.
func apart(heights []float64, distance, lowest float64) []float64 {
	for i := 1; i < len(heights); i++ {
		heights[i] = max(heights[i], heights[i-1]+distance)
	}
	for i := len(heights) - 1; i >= 0; i-- {
		heights[i] = min(heights[i], lowest)
		lowest = heights[i] - distance
	}
	return heights
}

// interval is a range of positive numbers on a logarithmic axis.
type interval struct{ low, high float64 }

func (i *interval) add(v float64) {
	i.low, i.high = min(i.low, v), max(i.high, v)
}

// share returns where v lies, from 0 to 1.
func (i *interval) share(v float64) float64 {
	if i.high <= i.low {
		return 0
	}
	return math.Log(v/i.low) / math.Log(i.high/i.low)
}

// widen extends the interval to round numbers and returns those that lie in it: 1, 2 and 5 times a power of ten, or the
// powers alone when there are many.
func (i *interval) widen() []float64 {
	factors := []float64{1, 2, 5}
	if i.high > 300*i.low {
		factors = factors[:1]
	}
	var levels []float64
	for power := math.Pow(10, math.Floor(math.Log10(i.low))); power <= 10*i.high; power *= 10 {
		for _, f := range factors {
			levels = append(levels, power*f)
		}
	}
	first := 0
	for first+1 < len(levels) && levels[first+1] <= i.low*1.0001 {
		first++
	}
	end := first + 1
	for end < len(levels) && levels[end-1] < i.high*0.9999 {
		end++
	}
	if end == first+1 && end < len(levels) {
		end++
	}
	levels = levels[first:end]
	if len(levels) > 0 {
		i.low, i.high = levels[0], levels[len(levels)-1]
	}
	return levels
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
