package result

import (
	"cmp"
	"slices"
)

// Summary is what all runs of one tool at one point say together.
type Summary struct {
	Tool      Tool
	Runs      []Run // at least one
	Wall, CPU Spread
	User      float64 // median, like all below
	System    float64
	Memory    float64 // bytes
	Requests  float64
	ServerCPU float64
}

// Good reports whether every run did what it should.
func (s Summary) Good() bool {
	return !slices.ContainsFunc(s.Runs, func(r Run) bool { return !r.Good() })
}

// Group is one scenario at one point, with the tools that took part, the one that used least CPU first.
type Group struct {
	Run       // the first one: title, objects and so on
	Summaries []Summary
	Base      float64 // CPU of the cheapest way of the bare copier; 0 when it did not take part
	Best      Summary // the peer that needed least CPU and did what it should; no runs when there is none
}

// Groups returns the scenarios in the order in which they were first run, points ascending.
func (f *File) Groups() []Group {
	type point struct {
		scenario string
		x        float64
	}
	order := map[string]int{}
	runs := map[point]map[string][]Run{}
	for _, r := range f.Runs {
		if _, ok := order[r.Scenario]; !ok {
			order[r.Scenario] = len(order)
		}
		p := point{r.Scenario, r.X}
		if runs[p] == nil {
			runs[p] = map[string][]Run{}
		}
		runs[p][r.Tool] = append(runs[p][r.Tool], r)
	}
	var groups []Group
	for _, byTool := range runs {
		groups = append(groups, f.group(byTool))
	}
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(order[a.Scenario], order[b.Scenario]), cmp.Compare(a.X, b.X))
	})
	return groups
}

func (f *File) group(byTool map[string][]Run) Group {
	var g Group
	for _, t := range f.Tools {
		runs := byTool[t.Name]
		if len(runs) == 0 {
			continue
		}
		g.Run = runs[0]
		s := summarize(t, runs)
		g.Summaries = append(g.Summaries, s)
		switch cpu := s.CPU.Median; {
		case !s.Good():
		case t.Class == Copier && (g.Base == 0 || cpu < g.Base):
			g.Base = cpu
		case t.Class == Peer && (len(g.Best.Runs) == 0 || cpu < g.Best.CPU.Median):
			g.Best = s
		}
	}
	slices.SortStableFunc(g.Summaries, func(a, b Summary) int { return cmp.Compare(a.CPU.Median, b.CPU.Median) })
	return g
}

func summarize(t Tool, runs []Run) Summary {
	of := func(number func(Run) float64) Spread {
		var all []float64
		for _, r := range runs {
			all = append(all, number(r))
		}
		return Of(all)
	}
	return Summary{
		Tool: t, Runs: runs,
		Wall:      of(func(r Run) float64 { return r.Wall }),
		CPU:       of(Run.CPU),
		User:      of(func(r Run) float64 { return r.User }).Median,
		System:    of(func(r Run) float64 { return r.System }).Median,
		Memory:    of(func(r Run) float64 { return float64(r.Memory) }).Median,
		Requests:  of(func(r Run) float64 { return float64(r.Requests) }).Median,
		ServerCPU: of(func(r Run) float64 { return r.ServerCPU }).Median,
	}
}
