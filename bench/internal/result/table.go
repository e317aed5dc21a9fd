package result

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	mebibyte = 1 << 20
	gibibyte = 1 << 30
)

// large reports whether cost is counted by bytes and not by objects.
func (g Group) large() bool { return g.Bytes > 0 && g.Bytes/g.Objects >= mebibyte }

// Unit is what CPUPerUnit counts.
func (g Group) Unit() string {
	if g.large() {
		return "CPU s/GiB"
	}
	return "CPU µs/object"
}

// CPUPerUnit returns seconds of CPU for each GiB of large objects, else microseconds for each object.
func (g Group) CPUPerUnit(cpu float64) float64 {
	if g.large() {
		return cpu / (float64(g.Bytes) / gibibyte)
	}
	return cpu * 1e6 / float64(g.Objects)
}

// RateUnit is what Rate counts.
func (g Group) RateUnit() string {
	if g.large() {
		return "MiB/s"
	}
	return "objects/s"
}

// Rate returns how fast it went.
func (g Group) Rate(wall float64) float64 {
	if g.large() {
		return float64(g.Bytes) / mebibyte / wall
	}
	return float64(g.Objects) / wall
}

// number writes n with about three digits.
func number(n float64) string {
	switch {
	case n >= 100:
		return strconv.FormatFloat(n, 'f', 0, 64)
	case n >= 10:
		return strconv.FormatFloat(n, 'f', 1, 64)
	default:
		return strconv.FormatFloat(n, 'f', 2, 64)
	}
}

// String writes the median, and the ends where they differ from it.
func (s Spread) String() string {
	if s.Min == s.Max {
		return number(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.Median), number(s.Min), number(s.Max))
}

// ratio writes a multiple, or a dash when there is nothing to compare with.
func ratio(n, base float64) string {
	if base == 0 {
		return "–"
	}
	return number(n / base)
}

// complete says whether every object arrived in every run.
func (s Summary) complete() string {
	least := slices.MinFunc(s.Runs, func(a, b Run) int { return int(a.Correct - b.Correct) })
	if slices.ContainsFunc(s.Runs, func(r Run) bool { return !r.Complete }) {
		return fmt.Sprintf("**no** (%d of %d)", least.Correct, least.Objects)
	}
	return "yes"
}

// exits lists the different ends of the runs.
func (s Summary) exits() string {
	var all []string
	for _, r := range s.Runs {
		end := strconv.Itoa(r.Exit)
		if r.TimedOut {
			end = "time limit"
		}
		if !slices.Contains(all, end) {
			all = append(all, end)
		}
	}
	return strings.Join(all, ", ")
}

// Tables writes one table for each scenario, or one for each that grows.
func (f *File) Tables() string {
	var b strings.Builder
	groups := f.Groups()
	for i, g := range groups {
		grows := g.X != 0
		if !grows || i == 0 || groups[i-1].Scenario != g.Scenario {
			fmt.Fprintf(&b, "\n### %s\n\n", g.heading())
			if grows {
				fmt.Fprintf(&b, "| %s ", Axis(g.Scenario))
			}
			fmt.Fprintf(&b, "| tool | runs | CPU s | user + system | %s | × copier | × best peer | wall s | peak MiB | %s | requests/object | complete | exit |\n",
				g.Unit(), g.RateUnit())
			b.WriteString(strings.Repeat("| --- ", 13))
			if grows {
				b.WriteString("| --- ")
			}
			b.WriteString("|\n")
		}
		for _, s := range g.Summaries {
			if grows {
				b.WriteString("| " + strconv.FormatFloat(g.X, 'f', -1, 64) + " ")
			}
			b.WriteString(g.row(s))
		}
	}
	return b.String()
}

func (g Group) heading() string {
	if g.X != 0 {
		return g.Title
	}
	return "(" + g.Scenario + ") " + g.Title
}

// Axis says what grows in a scenario.
func Axis(scenario string) string {
	switch name, _, _ := strings.Cut(scenario, "-"); name {
	case "keys":
		return "keys"
	case "size":
		return "MiB an object"
	case "parts":
		return "MiB a part"
	case "slots":
		return "slots"
	default:
		return "point"
	}
}

func (g Group) row(s Summary) string {
	name := s.Tool.Name
	if s.Tool.Class == Ours {
		name = "**" + name + "**"
	}
	return fmt.Sprintf("| %s | %d | %v | %s + %s | %s | %s | %s | %v | %s | %s | %.3f | %s | %s |\n",
		name, len(s.Runs), s.CPU, number(s.User), number(s.System), number(g.CPUPerUnit(s.CPU.Median)),
		ratio(s.CPU.Median, g.Base), ratio(s.CPU.Median, g.bestCPU()), s.Wall, number(s.Memory/mebibyte),
		number(g.Rate(s.Wall.Median)), s.Requests/float64(g.Objects), s.complete(), s.exits())
}

func (g Group) bestCPU() float64 { return g.Best.CPU.Median }

// Markdown writes a page with a picture, whose address is given.
func (f *File) Markdown(picture string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Measured on %s\n\n", f.Started.Format("2 January 2006"))
	b.WriteString(f.Preamble())
	fmt.Fprintf(&b, "\n![CPU and wall time](%s)\n", picture)
	b.WriteString(f.Tables())
	return b.String()
}

// Preamble says on what and with what was measured.
func (f *File) Preamble() string {
	var b strings.Builder
	m := f.Machine
	pinned := "servers on core 0, the tool on core 1"
	if !m.Pinned {
		pinned = "not pinned to cores"
	}
	fmt.Fprintf(&b, "%s, %d cores, %s GiB, Linux %s, %s; %s. ", m.CPU, m.Cores, number(float64(m.Memory)/gibibyte), m.Kernel, m.Go, pinned)
	low, high := m.Load, m.Load
	for _, r := range f.Runs {
		low, high = min(low, r.Load), max(high, r.Load)
	}
	fmt.Fprintf(&b, "Load average %s to %s. Commit %s.\n\n", number(low), number(high), f.Commit)
	for _, t := range f.Tools {
		fmt.Fprintf(&b, "- %s: %s\n", t.Name, t.Version)
	}
	for _, a := range f.Absent {
		fmt.Fprintf(&b, "- not measured: %s\n", a)
	}
	b.WriteString("\nMedians; the least and the most in brackets. “× copier” and “× best peer” compare CPU, the latter with the\n" +
		"peer that needed least of it and copied everything.\n")
	return b.String()
}
